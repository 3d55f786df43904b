package main

// words are the Chinese of stable codes that stand in tables: outcomes, statuses, orders, and parts of evidence. They are apart from the
// messages, because a sentence that names a system "met" must keep it.
var words = map[string]string{
	// outcomes of a use of a license in a record
	"release": "已提供", "status": "已告知状态", "confirm": "已核验身份", "unconfirmed": "身份未核实", "missing": "查无", "denied": "不予提供", "unavailable": "暂不可用",
	"unmatched": "非所询证照", "noted": "已登记", "met": "已满足", "on-file": "已有存档材料", "filed": "已存档", "withdrawn": "已撤回", "lapsed": "已失效", "mismatched": "不一致", "covered": "已由窗口收取",
	"searched": "已检索", "told": "已告知持证主体", "disputed": "持证主体称非本人办理", "normal": "处置：正常", "referred": "处置：转办", "false-alarm": "处置：误报", "opened": "已查看", "rendered": "已制作文件", "listed": "已列出", "signed": "已签发", "known": "此前已签发", "faulty": "记录有误", "tried": "已试查", "issued": "已作为办理结果签发",

	// what the window received, and what is due instead of a license
	"uploaded": "已上传", "promised": "已承诺", "waived": "已豁免", "tolerate": "容缺受理", "promise": "告知承诺", "upload": "申请人提交",

	// statuses of licenses, and what is ordered of them
	"valid": "有效", "suspended": "暂扣", "revoked": "撤销、吊销或注销", "superseded": "已换发", "expired": "过期失效",
	"suspend": "暂停", "revoke": "吊销", "expire": "提前终止", "reinstate": "恢复", "supersede": "换发",

	// parts of evidence
	"request": "请求", "person": "人员", "inputs": "裁决依据", "reasons": "原因",

	// states of keys
	"current": "现用", "retired": "停用",
}

// word is a code for a reader: in Chinese with the code in brackets, because filters take the code.
func (t *terminal) word(code string) string {
	if chinese := words[code]; chinese != "" && t.chinese() {
		return chinese + "（" + code + "）"
	}
	return code
}

func (t *terminal) wordsOf(codes []string) (list []string) {
	for _, code := range codes {
		list = append(list, t.word(code))
	}
	return list
}
