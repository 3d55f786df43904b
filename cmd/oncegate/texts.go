package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// translate puts the help into the reader's language.
func (t *terminal) translate(app *kong.Application) {
	if t.zh {
		eachHelp(app, func(text *string) { *text = t.say(*text) })
		for _, leaf := range app.Leaves(false) {
			leaf.Detail = strings.Replace(leaf.Detail, "Examples:", t.say("Examples:"), 1)
		}
	}
}

// helpTexts are all help texts of the command line.
func helpTexts(app *kong.Application) (texts []string) {
	eachHelp(app, func(text *string) {
		if *text != "" {
			texts = append(texts, *text)
		}
	})
	return texts
}

// eachHelp visits the help of every command, flag and argument that is shown.
func eachHelp(app *kong.Application, visit func(text *string)) {
	_ = kong.Visit(app, func(v kong.Visitable, next kong.Next) error {
		switch v := v.(type) {
		case *kong.Application:
			visit(&v.Help)
		case *kong.Node:
			visit(&v.Help)
		case *kong.Flag:
			if !v.Hidden {
				visit(&v.Help)
			}
			return nil // its value has the same text
		case *kong.Value:
			visit(&v.Help)
		}
		return next(nil)
	})
}

// chinese are the texts by their English. A text that is not here stands in English.
var chinese = map[string]string{
	"A data-sharing gateway and electronic-license exchange: ask once, prove it.": "一次办数据网关：政务数据共享与电子证照交换。问一次，可举证。",
	"Show context-sensitive help.": "显示帮助。",
	"Run the gateway.":             "运行网关。",
	"Check a configuration and everything it names; report all faults at once.":                                                                "检查配置及其引用的所有文件，一次报告全部错误。",
	"Make a new installation: configuration, keys, certificates, log.":                                                                         "新建安装：配置、密钥、证书、日志。",
	"Start a small city, tell its story, and serve until Ctrl-C.":                                                                              "启动示例城市，演示全过程，然后运行到按下 Ctrl-C。",
	"Verify what a gateway or somebody else handed out, offline: licenses, sealed documents, answers, receipts, time stamps, lists, and more.": "离线验证网关或他人给出的证照、版式文件与签章、答复、回执、时间戳、各类清单等。",
	"Make a signed call by hand.":                                                        "手工发起一次签名调用。",
	"Look after the gateway's keys and certificates.":                                    "管理网关的密钥和证书。",
	"Copy the SQLite database to a file, while a node serves it or not.":                 "备份 SQLite 数据库到文件，运行中亦可。",
	"Open a new log origin after an old backup was restored.":                            "恢复旧备份之后，以新的日志名重新开始。",
	"File to write; it must not exist.":                                                  "要写入的文件，不得已存在。",
	"The configuration, with a new log.origin.":                                          "配置文件，其中 log.origin 已改为新名。",
	"The last checkpoint known of the old log; default: the one in the high-water mark.": "旧日志最后已知的检查点；缺省取水位文件中的检查点。",
	"pages": "页",
	"the database as it was when the backup began, in %s; keys and configuration are not in it":       "数据库（备份开始时刻的状态）已写入 %s；不含密钥和配置",
	"the log %s begins with the checkpoint of %s at %d entries":                                       "日志 %s 以 %s 第 %d 条处的检查点开始",
	"calls that expire before %s are refused; hand out trust for the new log, and keep the old one's": "%s 之前到期的调用不再受理；请分发新日志的信任文件，并保留旧日志的",
	"Explain and test the policy.":                                                                      "解释和测试共享策略。",
	"Search, verify and export the records.":                                                            "检索、验证、导出审计记录。",
	"The configuration.":                                                                                "配置文件。",
	"Form of the log on standard error: text or json.":                                                  "标准错误上日志的格式：text 或 json。",
	"The least level that is logged: debug, info, warn or error.":                                       "记录的最低级别：debug、info、warn 或 error。",
	"Print the faults as JSON.":                                                                         "以 JSON 输出错误。",
	"Folder of the new installation.":                                                                   "新安装的目录。",
	"Make what this configuration names instead of writing one; what is there stays.":                   "不写配置，只补齐此配置所引用的内容；已有的不动。",
	"Which configuration to write: minimal, or the sample city.":                                        "写哪一份配置：minimal（最小），或 city（示例城市）。",
	"End after the story; the exit code says whether every step held.":                                  "演示完即结束；退出码说明是否每一步都成立。",
	"Print the result as JSON and end.":                                                                 "以 JSON 输出结果并结束。",
	"Keep everything here: city, gateway, trust, artefacts.":                                            "把一切保存在此目录：city、gateway、trust、artefacts。",
	"What is believed: a folder with trust.json, or that file.":                                         "信任的依据：含 trust.json 的目录，或该文件。",
	"Print the steps as JSON.":                                                                          "以 JSON 输出各步骤。",
	"Print only what does not hold.":                                                                    "只输出不成立的。",
	"What to verify; - is standard input. Files that belong together verify one another.":               "要验证的文件；- 为标准输入。相关的文件一起给出，可相互印证。",
	"The gateway's configuration, on its own machine: URL, id, keys and trust come from it.":            "网关的配置（在网关本机上）：地址、标识、密钥、信任均取自其中。",
	"The gateway's public base URL.":                                                                    "网关对外的基础 URL。",
	"The gateway's id.":                                                                                 "网关标识。",
	"The system that calls.":                                                                            "发起调用的业务系统。",
	"Who acts (经办人).":                                                                                   "经办人。",
	"Keystore with the system's call key.":                                                              "存有业务系统调用密钥的密钥库。",
	"File with the keystore's passphrase.":                                                              "密钥库口令文件。",
	"Environment variable with the keystore's passphrase.":                                              "存有密钥库口令的环境变量。",
	"PEM file with the system's private key, instead of a keystore.":                                    "业务系统私钥的 PEM 文件，代替密钥库。",
	"Key id, where it is not the file's or key's own name.":                                             "密钥标识（与文件名或密钥自身标识不同时）。",
	"What is believed: receipts of answers are verified with it.":                                       "信任的依据：用它验证答复的回执。",
	"Connect there instead of to the URL's address.":                                                    "连接到此地址，而不是 URL 中的地址。",
	"The body: JSON, @FILE, or - for standard input. Its bytes are signed as they are.":                 "请求体：JSON、@文件，或 - 表示标准输入。按原字节签名。",
	"Print a curl command that makes the call once within five minutes, instead of making it.":          "不调用，而是输出一条五分钟内可用一次的 curl 命令。",
	"Operation, such as licenses.query or cases.check; docs/api.md lists them.":                         "操作，如 licenses.query、cases.check；见 docs/api.md。",
	"Values of the path's parameters, such as no=SP-2026-000123.":                                       "路径参数的值，如 no=SP-2026-000123。",
	"Take in a key that a certificate authority delivered, with its certificates.":                      "导入证书认证机构签发的密钥及其证书。",
	"Revoke a certificate of the installation's own authority.":                                         "吊销自建 CA 签发的证书。",
	"Sign and print the revocation lists of the installation's own authority.":                          "签发并输出自建 CA 的证书吊销列表（CRL）。",
	"PKCS#12 file, PEM file with key and chain, or SM2EnvelopedKey (GB/T 35276) as DER, base64 or PEM.": "PKCS#12 文件、含私钥和证书链的 PEM 文件，或 SM2 密钥对保护结构（GB/T 35276，DER、base64 或 PEM）。",
	"What the signing key is for; an encryption certificate is recognised by itself.":                   "签名密钥的用途；加密证书自动识别。",
	"File with the password of a PKCS#12 file.":                                                         "PKCS#12 文件的口令文件。",
	"PEM file with the certificate chain, leaf first, where the key comes without it.":                  "证书链 PEM 文件（叶证书在前），密钥未附证书时给出。",
	"Id of the signing key to which an SM2EnvelopedKey is wrapped.":                                     "SM2 密钥对保护结构所用签名密钥的标识。",
	"Retire the current key of the same purpose.":                                                       "停用同一用途的现用密钥。",
	"PEM file with the certificate.":                                                                    "证书 PEM 文件。",
	"Why, as revocation lists say it (RFC 5280).":                                                       "吊销原因（RFC 5280）。",
	"%s decrypts and never signs: the authority that made it has a copy":                                "%s 只用于解密，不签名：签发机构留有备份",
	"Revoked. Others learn of it from the next list: oncegate keys crl":                                 "已吊销。下一份吊销列表发布后他人方可得知：oncegate keys crl",
	"List the gateway's keys.":                                                                          "列出网关的密钥。",
	"Make a key: the first of a purpose in the keystore, or a system's call key in a file.":             "新建密钥：密钥库中某用途的第一把，或写入文件的业务系统调用密钥。",
	"Replace a key by a new one; the old one still verifies and opens.":                                 "更换密钥；旧密钥仍可验证和解密。",
	"Print a certificate request (PKCS#10) of a key.":                                                   "输出密钥的证书请求（PKCS#10）。",
	"Install a certificate chain beside its key.":                                                       "为密钥安装证书链。",
	"Certify a system's request with the installation's own authority.":                                 "用本安装自带的 CA 签发业务系统的证书请求。",
	"Print what is public of a key.":                                                                    "输出密钥的公开部分。",
	"Print as JSON.":                                                                                    "以 JSON 输出。",
	"The configuration whose keystore gets the key.":                                                    "配置文件，密钥存入其密钥库。",
	"What the key is for.":                                                                              "密钥用途。",
	"Department (id or code) or system it belongs to; empty: the gateway.":                              "密钥所属部门（标识或代码）或业务系统；空为网关。",
	"Write a system's call key to this new PEM file instead, and print its certificate request.":        "改为把业务系统调用密钥写入此新 PEM 文件，并输出证书请求。",
	"What the key is for: license, status, envelope, index, call, seal or attest.":                      "密钥用途：license、status、envelope、index、call、seal 或 attest。",
	"Department (id or code) it belongs to; empty: the gateway.":                                        "密钥所属部门（标识或代码）；空为网关。",
	"Key id.": "密钥标识。",
	"PEM file with the certificate chain, leaf first.":                                "证书链 PEM 文件，末端证书在前。",
	"System of the configuration whose request it is.":                                "配置中提出请求的业务系统。",
	"File with the certificate request; - is standard input.":                         "证书请求文件；- 为标准输入。",
	"The certificate chain instead of the bare key.":                                  "输出证书链，而不是裸公钥。",
	"Instead: write everything that verifiers must believe into this folder.":         "改为把验证者须信任的一切写入此目录。",
	"Say in sentences why a question is answered as it is.":                           "用语句说明一个请求为何如此裁决。",
	"Run tables of expected decisions.":                                               "运行预期裁决表。",
	"Read the sharing agreements aloud.":                                              "把共享协议读成语句。",
	"Operation that is asked for.":                                                    "请求的操作。",
	"The system that asks.":                                                           "请求的业务系统。",
	"License type asked for.":                                                         "请求的证照类型。",
	"Matter (事项) the case is of.":                                                     "办件所属事项。",
	"Material (材料) asked for.":                                                        "请求的材料。",
	"Role of the holder in the case.":                                                 "持证主体在办件中的角色。",
	"How the case is attested: self, holder or platform.":                             "办件的佐证方式：self、holder 或 platform。",
	"Legal basis: case, consent, or another that a grant names.":                      "依据：case（办件）、consent（授权同意），或授权条款所列其他依据。",
	"The holder has consented.":                                                       "持证主体已同意。",
	"Fields asked for; none: whatever is granted.":                                    "请求的字段；不写则为全部授权字段。",
	"Age of the copy that would be released, such as 36h; empty: live.":               "将释放副本的时龄，如 36h；空为实时。",
	"answer, or confirm a role inside.":                                               "answer（答复），或 confirm（内部核验角色）。",
	"Moment or day of the question; empty: now.":                                      "请求的时刻或日期；空为现在。",
	"Tables to run; none: those that the configuration names.":                        "要运行的表；不写则为配置中所列。",
	"Print the results as JSON.":                                                      "以 JSON 输出结果。",
	"Only those of this system.":                                                      "仅此业务系统的。",
	"Search the records, with an auditor's key.":                                      "用审计人员的密钥检索记录。",
	"Verify the whole log, over HTTP or in the store of a stopped node, or receipts.": "验证整个日志（经 HTTP，或已停节点的数据库），或验证回执。",
	"Write a signed report of a period to a file.":                                    "把某一时段的签名报告写入文件。",
	"From this day or moment (RFC 3339).":                                             "自此日或时刻（RFC 3339）。",
	"Up to this day, included, or this moment (RFC 3339).":                            "至此日（含）或时刻（RFC 3339）。",
	"Records of this system.":                                                         "此业务系统的记录。",
	"Records of calls of this operator (经办人).":                                        "此经办人的调用记录。",
	"Records of this operation.":                                                      "此操作的记录。",
	"Records for this matter (事项).":                                                   "此事项的记录。",
	"Records for this case (办件).":                                                     "此办件的记录。",
	"Records about this license type.":                                                "此证照类型的记录。",
	"Records about this holder, such as 001:91379901MA9920002Q; @FILE or - keeps the code out of the shell's history.": "关于此持证主体的记录，如 001:91379901MA9920002Q；用 @文件 或 - 可避免代码留在命令历史中。",
	"Records with this decision, such as release or denied.":                                                           "此裁决的记录，如 release、denied。",
	"Most records shown.": "最多显示的记录数。",
	"Print the answers with their receipts as they came, one a line.":                                       "原样输出答复及回执，每行一个。",
	"SQLite database of a stopped node, or a copy, instead of HTTP.":                                        "已停节点的 SQLite 数据库或其副本，代替 HTTP。",
	"Name of the log in it, where the trust names several.":                                                 "其中日志的名称（信任依据列有多个时）。",
	"Verify these receipts and answers instead of the whole log.":                                           "只验证这些回执和答复，而不是整个日志。",
	"Where the report goes; - is standard output. A file must not be there.":                                "报告写往何处；- 为标准输出。文件不得已存在。",
	"Put bounded load on a gateway of its own, on loopback only, and prove that nothing answered was lost.": "对自建网关（仅本机回环）施加有界负载，并证明凡已应答者无一丢失。",
	"Keep everything here, in a new folder; otherwise it is gone at the end.":                               "全部保留于此新目录；否则结束即清除。",
	"Callers at once, to 1024.":                                                                  "并发调用方数，至多 1024。",
	"Calls of one stretch of load at most, to 500,000.":                                          "每段负载的调用数上限，至多 500,000。",
	"Time of one stretch at most, to 2m.":                                                        "每段负载的时长上限，至多 2m。",
	"How often everything is measured; figures are medians.":                                     "测量轮数；数字取中位数。",
	"Calls per second below full load; otherwise half of what full load came to.":                "非满载时每秒调用数；缺省为满载所得的一半。",
	"Of a hundred calls of the mixed stretch: checks of a chain of eight matters.":               "混合负载每百次调用中：八事项链条核验数。",
	"New cases among them.":                                                                      "其中新登记办件数。",
	"Questions among them that must be refused.":                                                 "其中必须拒绝的查询数。",
	"Calls among them that are made twice.":                                                      "其中重放的调用数。",
	"PostgreSQL to compare with, or with --store to run on. A schema is made there and dropped.": "用于对比的 PostgreSQL，或配合 --store 作为存储。在其中新建模式，用毕删除。",
	"Store of the gateway: sqlite or postgres.":                                                  "网关的存储：sqlite 或 postgres。",
	"Measure the rooms too: records, eight slow sources, start, memory, program, PostgreSQL.":    "另测各组成部分：记录、八个慢数据源、启动、内存、程序大小、PostgreSQL。",
	"Print the report as JSON.":                                                                  "以 JSON 输出报告。",

	"Suspend, revoke, supersede, list and sign licenses, for the department that owns them.": "暂停、吊销、换发、查看和签发证照，供证照所属部门使用。",
	"Show how a signed license stands.":                                                                                         "查看一份已签发证照的状态。",
	"List the signed licenses of a type and how they stand.":                                                                    "列出某类已签发证照及其状态。",
	"Suspend licenses (暂停), whatever their source says, until they are reinstated.":                                             "暂停证照（不论数据源如何陈述），直至恢复。",
	"Revoke licenses (吊销, 注销), their next versions too.":                                                                        "吊销、注销证照，其后续版本一并生效。",
	"End versions before their time; a changed license is valid again.":                                                         "使版本提前到期；内容变更后的证照重新有效。",
	"Lift a suspension; of what was revoked or ended, have the next version signed.":                                            "恢复被暂停的证照；已吊销或到期的，签发下一版本。",
	"End versions and have the next ones signed (换发) when their source is read next.":                                           "终止版本，下次读取数据源时签发新版本（换发）。",
	"Sign the licenses of many holders ahead of use.":                                                                           "预先批量签发众多持证主体的证照。",
	"Draw a license as a document: the sealed original, or a picture of it.":                                                    "将证照制作为文件：加盖电子印章的原件，或其图像。",
	"Whose license, such as 001:91379901MA9920002Q; - reads it from standard input, which keeps it out of the shell's history.": "持证主体，如 001:91379901MA9920002Q；- 从标准输入读取，不留在命令历史中。",
	"Number of the license (证照编号), where the holder has several.":                                                               "证照编号，持证主体有多份时指定。",
	"ofd is the sealed original; pdf, png and svg are pictures of it.":                                                          "ofd 为加盖电子印章的原件；pdf、png、svg 为其图像。",
	"File to write, - for standard output; default: the license's identifier with the form as its ending.":                      "写入的文件，- 为标准输出；默认以证照标识为名、以格式为扩展名。",
	"Print the answer with its receipt as it came, and write no file.":                                                          "原样输出答复及回执，不写文件。",
	"%s, version %d, %s: %s (%d bytes)":                                                                                         "%s，第 %d 版，%s：%s（%d 字节）",
	"Number of the decision that is carried out (文号); it is kept sealed.":                                                       "所执行决定的文号；加密保存。",
	"Identifiers of the licenses (电子证照标识).":                                                                                     "电子证照标识，可多个。",
	"Identifier of the license (电子证照标识).":                                                                                       "电子证照标识。",
	"Print the answer with its receipt as it came.":                                                                             "原样输出答复及回执。",
	"License type.": "证照类型。",
	"Only those that stand so: valid, suspended, revoked, superseded or expired.":                "仅此状态：valid、suspended、revoked、superseded 或 expired。",
	"Most licenses shown; 0 is all.":                                                             "最多显示的证照数；0 为全部。",
	"The holders, one a line as TYPE:CODE, such as 001:91379901MA9920002Q; - is standard input.": "持证主体，每行一个，如 001:91379901MA9920002Q；- 为标准输入。",
	"Instead: all holders that this source of the configuration has in its newest drop.":         "或：配置中此数据源最新文件内的全部持证主体。",
	"Leave out the first N holders, as when a run was broken off.":                               "略过前 N 个持证主体，用于续跑。",
	"Calls at once, to 16.":     "并发调用数，至多 16。",
	"Print the counts as JSON.": "以 JSON 输出计数。",
	"IDENTIFIER\tSTATUS\tSOURCE SAYS\tORDERED\tSIGNED\tSUPERSEDED BY": "标识\t状态\t数据源陈述\t部门决定\t签发\t换发为",
	"holders":                        "持证主体",
	"holder %d cannot be signed: %s": "第 %d 个持证主体的证照无法签发：%s",
	"%d of %d holders are done: go on with --skip %d":                                                                     "%d / %d 个持证主体已完成：以 --skip %d 继续",
	"%d holders with licenses signed now, %d known before, %d whom the source does not have, %d with faulty records (%s)": "本次签发 %d 个持证主体，已签发过 %d 个，数据源查无 %d 个，记录有误 %d 个（%s）",

	"Examples:":                           "示例：",
	"see: oncegate --help":                "参见：oncegate --help",
	"error:":                              "错误：",
	"warning:":                            "警告：",
	"service %s, admin %s, public URL %s": "服务 %s，管理 %s，对外 URL %s",
	"%s can be used: %d departments, %d systems, %d sources, %d license types, %d matters, %d grants (%d warnings)": "%s 可用：%d 个部门，%d 个业务系统，%d 个数据源，%d 种证照，%d 个事项，%d 条共享授权（%d 条警告）",
	"say either a folder or -c FILE":                               "请给出目录或 -c 文件，二者取一",
	"what verifiers must believe, in %s: hand it to them yourself": "验证者须信任的内容，在 %s：请亲手交付",
	"holds":                            "成立",
	"DOES NOT HOLD":                    "不成立",
	" (%d steps could not be checked)": "（%d 步无从核验）",
	"by":                               "签署",
	"seal":                             "印章",
	"at":                               "时间",
	" (proven)":                        "（已证实）",
	" (not proven)":                    "（未证实）",
	"receipt verified: entry %d; request %s, jti %s":                                             "回执已验证：第 %d 条；请求 %s，jti %s",
	"%d decisions, %d not as expected":                                                           "%d 条裁决，%d 条与预期不符",
	"ID\tUSAGE\tOWNER\tALGORITHM\tSTATE\tCREATED\tCERTIFICATE UNTIL":                             "标识\t用途\t所属\t算法\t状态\t创建\t证书有效至",
	"It has no certificate yet: oncegate keys csr %s, then oncegate keys cert %s FILE":           "尚无证书：先 oncegate keys csr %s，再 oncegate keys cert %s 文件",
	"RECORD\tTIME\tSYSTEM\tOPERATION\tCASE\tTYPE\tDECISION\tRULES":                               "记录\t时间\t业务系统\t操作\t办件\t证照\t裁决\t依据规则",
	"%d records are too new to be found yet":                                                     "另有 %d 条记录太新，尚未可检索",
	"entries":                                                                                    "条目",
	"%s the log does not hold: %s":                                                               "%s 日志不成立：%s",
	"%s all %d entries of %s hold (%s)":                                                          "%s %[3]s 的全部 %[2]d 条目成立（%[4]s）",
	"The report is not complete: there is more in this period than one report holds. Narrow it.": "报告不完整：此时段内容超出一份报告的容量，请缩小范围。",
	nextSteps: `接下来：
  1. 编辑 %[1]s：部门、业务系统、数据源。检查：  oncegate check -c %[1]s
  2. 运行：                                      oncegate serve -c %[2]s
  3. 在另一终端调用：                            oncegate call -c %[1]s --system SYSTEM catalog.types
  4. 验证其给出的内容：                          oncegate verify --trust %[3]s FILE…
正式使用之前：口令抄存保险柜；把 %[4]s/ca 移出本机；把 %[4]s/callers 中的密钥交给各业务系统（更好：让各系统
自己生成并提交证书请求）；把高水位标记放在另一块磁盘上。`,
}
