package client

// stepNames are the Chinese of the names of steps, and of the places that they begin with.
var stepNames = map[string]string{
	"license": "证照", "signature": "签名", "list": "列表", "receipt-inside": "所含回执",

	"recognised": "可识别", "readable": "可读取", "one-history": "同一日志历史",

	"license-form": "证照格式", "license-type": "证照类型标记", "license-signature": "签发签名", "license-signature-second-voice": "签发签名（第二实现）",
	"license-claims": "证照声明项", "disclosures": "披露项", "disclosure": "披露项", "chain-at-signing": "签发时的证书链", "chain-now": "当前的证书链",
	"key-usage": "密钥用途", "key-revocation": "签发证书是否吊销", "identifier": "证照标识", "issuer-authority": "颁证权限", "validity": "有效期",
	"status": "证照状态", "presentation-right": "出示者的使用权", "fields-as-disclosed": "字段与披露一致",

	"document": "答复文档", "log-known": "日志是否受信", "receipt": "回执", "receipt-form": "回执格式", "record-parsed": "记录格式",
	"answer-digest": "答复摘要", "token-digest": "请求摘要", "checkpoint": "检查点", "checkpoint-form": "检查点格式",
	"checkpoint-origin": "检查点所属日志", "checkpoint-sm2-signature": "检查点 SM2 签名", "checkpoint-ed25519-signature": "检查点 Ed25519 签名",
	"record-in-sm3-tree": "记录在 SM3 树中", "record-in-sha256-tree": "记录在 SHA-256 树中", "witness": "见证", "operation-in-record": "操作与记录一致",
	"uses-in-record": "用途与记录一致", "answer-time": "答复时间与记录一致", "answer-read": "答复内容", "log-entries": "日志条目",
	"evidence-digest": "证据摘要", "person-commitments": "人员承诺值", "holder-commitment": "持证主体承诺值",

	"call-form": "请求格式", "call-signature": "请求签名", "call-audience": "请求对象", "call-window": "请求时效", "call-body": "请求体摘要",
	"call-recorded": "请求已入日志", "body-of-call": "所属请求", "content-of": "所属文件", "picture-released": "图片由答复提供",

	"certificate-form": "证书格式", "anchor": "信任锚", "key-form": "公钥格式", "key-in-trust": "公钥是否受信",
	"status-list": "状态列表", "status-list-form": "状态列表格式", "status-list-signature": "状态列表签名", "status-list-validity": "状态列表时效",
	"revocation-list-form": "吊销列表格式", "revocation-list-signature": "吊销列表签名", "revocation-list-authority": "吊销列表签发者",
	"revocation-list-time": "吊销列表时间", "ocsp-answer-form": "OCSP 应答格式", "ocsp-answer-signature": "OCSP 应答签名",
	"ocsp-answer-authority": "OCSP 应答签发者", "ocsp-answer-time": "OCSP 应答时间",

	"ofd-package": "文件包", "ofd-entries": "包内文件名唯一", "ofd-xml": "XML 格式", "ofd-document": "文档结构", "ofd-copy-expires": "加注件使用期限",
	"ofd-signed": "有签名", "ofd-coverage": "全部内容受签名覆盖", "ofd-list": "文件清单", "ofd-list-signed": "文件清单签名", "ofd-list-content": "文件清单内容",
	"copy-original": "加注件的原件", "signature-form": "签名描述格式", "signature-method": "摘要算法", "signature-missing": "所签文件齐全",
	"signature-references": "所签文件未改动", "signature-content": "签名内容", "signature-seal-file": "印章文件", "signature-stamp": "印章位置",
	"signature-extent": "签名覆盖范围",

	"seal-form": "签章格式", "seal-values": "签章取值", "seal-data-hash": "签章原文摘要", "seal-property-info": "签章属性信息", "seal-signature": "签章签名",
	"seal-made": "印章制章签名", "seal-signer-listed": "签章者在印章名单内", "seal-signer-chain": "签章者证书链", "seal-signer-usage": "签章者证书用途",
	"seal-signer-revocation": "签章者证书是否吊销", "seal-maker-chain": "制章者证书链", "seal-maker-usage": "制章者证书用途",
	"seal-maker-revocation": "制章者证书是否吊销", "seal-period": "印章有效期（签章时）", "seal-period-now": "印章有效期（当前）",
	"seal-status": "印章是否撤销", "seal-made-time": "制章时间", "seal-time": "签章时间",

	"cms-parse": "签名消息格式", "cms-digest": "原文摘要", "cms-signer": "签名者证书", "cms-signature": "签名值", "cms-timestamp": "签名时间戳",
	"cms-chain": "签名者证书链", "cms-usage": "签名者证书用途", "cms-revocation": "签名者证书是否吊销",

	"timestamp-parse": "时间戳格式", "timestamp-imprint": "时间戳原文摘要", "timestamp-nonce": "时间戳随机数", "timestamp-policy": "时间戳策略",
	"timestamp-digest": "时间戳内容摘要", "timestamp-signer": "时间戳签名者", "timestamp-signature": "时间戳签名", "timestamp-chain": "时间戳证书链",
	"timestamp-usage": "时间戳证书用途", "timestamp-revocation": "时间戳证书是否吊销", "timestamp-time": "时间戳时间",
}

// stepReasons are the Chinese of the reasons of steps. {1}, {2} stand for values.
var stepReasons = map[string]string{
	"a step before it failed":                                  "前一步未通过",
	"the verification did not come to this step":               "核验未进行到此步",
	"its status list is not at hand":                           "未提供其状态列表",
	"the license has expired":                                  "证照已过有效期",
	"the license is not valid yet":                             "证照尚未生效",
	"no witness is known here: unwitnessed":                    "信任配置中没有见证方：未见证",
	"no known witness has co-signed: unwitnessed":              "已知见证方均未联署：未见证",
	"the call's token is not at hand":                          "未提供请求令牌",
	"the answer is not at hand":                                "未提供答复",
	"{1} as of {2}":                                            "截至 {2}：{1}",
	"valid as of {1}":                                          "截至 {1} 有效",
	"the trust requires {1} witnesses, and {2} have co-signed": "信任配置要求 {1} 个见证方联署，现有 {2} 个",
	"a picture proves nothing by itself, and no answer that released it is among the files": "图片本身不能证明什么，且同时给出的文件中没有提供它的答复",
}
