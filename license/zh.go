package license

import (
	"sync"

	"oncegate/language"
)

// SourceMessages are the Chinese of what a SourceError says, and of the details that adapters give.
func SourceMessages() language.Messages { return chinese }

var translated = sync.OnceValue(func() *language.Catalogue { return language.New(chinese) })

// chinese has a sentence for every cause (TestSourceErrorsInBothLanguages), and for every detail of an adapter
// (TestEveryDetailHasItsChinese, room config).
var chinese = language.Messages{
	// causes
	"the connection was refused: nothing listens at the configured address and port": "连接被拒绝：所配置的地址和端口无人监听",
	"the configured host name is unknown":                                            "所配置的主机名无法解析",
	"there is no way to the configured host":                                         "所配置的主机不可达",
	"the system did not answer in time":                                              "系统未按时应答",
	"the system closed the connection":                                               "系统断开了连接",
	"the TLS connection failed":                                                      "TLS 连接失败",
	"the system refuses the configured user, password or key":                        "系统拒绝所配置的用户名、口令或密钥",
	"the configured account may not read this":                                       "所配置的账户无权读取",
	"there is no such database":                                                      "没有这一数据库",
	"the system is busy: locked, or out of connections":                              "系统繁忙：已锁定或连接用尽",
	"the system answered with HTTP status %d":                                        "系统以 HTTP 状态码 %v 应答",
	"the answer cannot be read":                                                      "应答无法读取",
	"no drop has been taken yet":                                                     "尚未读取任何文件批次",
	"the newest drop is older than allowed":                                          "最新的文件批次已超过允许的时长",
	"source is closed":                                                               "数据源已关闭",
	"the system could not answer":                                                    "系统未能应答",
	"table %s does not exist":                                                        "表 %#v 不存在",
	"table %s is gone: the schema has changed":                                       "表 %#v 已不存在：库表结构已变更",
	"a table of the configured query does not exist":                                 "所配置的查询中有不存在的表",
	"a table of the configured query is gone: the schema has changed":                "所配置的查询中有表已不存在：库表结构已变更",
	"column %s does not exist":                                                       "列 %#v 不存在",
	"column %s is gone: the schema has changed":                                      "列 %#v 已不存在：库表结构已变更",
	"row %d has no column %s":                                                        "第 %v 行没有列 %#v",
	"a column of the configured query does not exist":                                "所配置的查询中有不存在的列",
	"a column of the configured query is gone: the schema has changed":               "所配置的查询中有列已不存在：库表结构已变更",
	"the database refuses the configured query":                                      "数据库拒绝所配置的查询",
	"the answer is not as configured":                                                "应答与配置不符",
	"a date cannot be read":                                                          "有日期无法识别",
	"a code is not in its table":                                                     "有代码不在代码表中",
	"a value cannot be read":                                                         "有值无法识别",
	"a record cannot be mapped":                                                      "有记录无法映射",
	"row %d, column %s cannot be mapped":                                             "第 %v 行、列 %#v 无法映射",
	"row %d cannot be mapped":                                                        "第 %v 行无法映射",
	"the source answered with a license of another holder":                           "数据源返回了其他持证主体的证照",
	"the drop was refused":                                                           "文件批次被拒绝",
	"the drop was refused at line %d":                                                "文件批次在第 %v 行被拒绝",

	// the gateway about adapters
	"the source did not answer every question":        "数据源未回答全部问题",
	"the source answered neither found nor not found": "数据源既未答有也未答无",
	"the source's adapter panicked":                   "数据源适配器发生异常",
	"it lists no holders to take a sample of":         "该数据源不能列出持证主体，无从取样",

	// connections
	"the certificate is for another host name":        "证书属于其他主机名",
	"the certificate has expired or is not valid yet": "证书已过期或尚未生效",
	"the certificate is of no trusted authority":      "证书不是受信任机构签发的",
	"the certificate is not trusted":                  "证书不受信任",
	"the system does not speak TLS there":             "该端口不支持 TLS",
	"the system broke off the handshake":              "系统中断了握手",
	"without the mark of not found":                   "且没有表示“查无”的标记",
	"cannot write the request":                        "请求无法生成",
	"cannot sign the request":                         "请求无法签名",
	"the exchange failed":                             "通信失败",

	// answers
	"more than %d rows":                                              "超过 %d 行",
	"more than %d records":                                           "超过 %d 条记录",
	"two columns are named %s":                                       "有两列同名：%#v",
	"it is longer than allowed":                                      "超过允许的长度",
	"it is compressed, which was not asked for":                      "未经请求即作压缩",
	"its content type is missing or malformed":                       "内容类型缺失或格式有误",
	"it is no JSON by its content type":                              "从内容类型看不是 JSON",
	"it is not in UTF-8":                                             "不是 UTF-8 编码",
	"it is no JSON that can be used: %v":                             "不是可用的 JSON：%v",
	"malformed at byte %d":                                           "第 %d 字节处格式有误",
	"more than one value":                                            "不止一个值",
	"nested too deeply":                                              "嵌套过深",
	"its code is neither success nor not found":                      "其返回码既非成功也非查无",
	"it has nothing at %s":                                           "在 %#v 处没有内容",
	"it has no record, and that is not configured to mean not found": "没有记录，而配置未把这种情形定为查无",
	"it does not hold as many records as it says there are":          "记录数与其所称的总数不符",
	"it is no JSON object":                                           "不是 JSON 对象",
	"no list of 1 to %d holders":                                     "没有含 1 至 %d 个持证主体的列表",
	"a list where one value is expected; holders.separator would take it as one value per holder": "此处应为单个值而不是列表；设置 holders.separator 可按每个持证主体一个值读取",
	"a list whose values cannot be told apart by the separator":                                   "列表中的值无法用分隔符区分",
	"an object where one value is expected":                                                       "应为一个值，而给出的是对象",

	// values
	"binary data, or text in another character set; convert it to text in the query": "二进制数据或其他字符集的文本；请在查询中转换为文本",
	"not a number": "不是数字",
	"a type that mappings cannot read; cast it to text in the query":              "映射无法读取此类型；请在查询中转换为文本",
	"a DATE with a time of day; cast it to text in the query and give the layout": "DATE 含有时刻；请在查询中转换为文本并给出格式",
	"not a day in any of the layouts":                                             "不是所列任一格式的日期",
	"not the number of a day":                                                     "不是日期序号",
	"the code is not in the table":                                                "代码不在对照表中",
	"the code is not in the table of list %s":                                     "代码不在代码表 %#v 的对照表中",
	"a character was lost before it came here (U+FFFD or invalid UTF-8)":          "有字符在传入前已丢失（U+FFFD 或无效的 UTF-8）",
	`the end of validity is empty; list "" under unlimited if that means 长期`:      `有效期截止日期为空；如表示长期，请在 unlimited 中列出 ""`,
	"a holder has no code or no code type":                                        "持证主体没有代码或代码类型",
	"has %d values for %d holders":                                                "%[2]v 个持证主体对应 %[1]v 个值",
	"a value per holder may not contain a line break":                             "按持证主体列出的值不得含换行",

	// records
	"the license has no number":                                       "证照没有编号",
	"no status is stated, and none is guessed":                        "未给出状态，不作推测",
	"a holder stands there twice":                                     "同一持证主体出现两次",
	"differs from row %d of the same license in more than the holder": "与同一证照的第 %v 行除持证主体外还有不同",
	"names a holder of row %d a second time":                          "重复了第 %v 行的持证主体",

	// drops
	"column %s: %v":                                                "列 %#v：%v",
	"the drop is larger than allowed":                              "文件超过允许的大小",
	"the drop has fewer rows than min_rows":                        "行数少于 min_rows",
	"the drop is empty":                                            "文件为空",
	"two columns have the same name":                               "有两列同名",
	"the header has no column %s":                                  "表头没有列 %#v",
	"longer than allowed":                                          "超过允许的长度",
	"the last line has no line break; the drop may be cut short":   "最后一行没有换行符，文件可能不完整",
	"not in the encoding":                                          "不符合所配置的编码",
	"a character is not in the encoding, or was replaced (U+FFFD)": "有字符不符合所配置的编码，或已被替换（U+FFFD）",
	"a control character":                                          "含控制字符",
	"wrong number of fields":                                       "字段个数不符",
	"its time lies in the future":                                  "其时间在未来",
	"its name does not hold a time in the layout %s":               "文件名中没有格式为 %#v 的时间",
	"cannot open the drop":                                         "文件无法打开",
	"cannot read the drop to its end":                              "文件无法读完",
	"has more cells than the header":                               "单元格多于表头",

	// workbooks
	"the workbook cannot be read": "工作簿无法读取",
	"cannot be read":              "无法读取",
	"the workbook counts days from 1904, as old Macs do; save it with the 1900 date system": "工作簿的日期从 1904 年起算（旧版 Mac）；请以 1900 日期系统另存",
	"the workbook has no sheet of the configured name":                                      "工作簿中没有所配置名称的工作表",
	"the sheet cannot be read; is it a chart?":                                              "工作表无法读取；是否为图表？",
	"an .xls workbook, or one with a password: save it as .xlsx without a password":         "是 .xls 工作簿，或设有密码：请另存为不带密码的 .xlsx",
	"no XLSX workbook, or cut short":                                                        "不是 XLSX 工作簿，或不完整",
	"the workbook has too many parts":                                                       "工作簿的组成部分过多",
	"a part of the workbook cannot be unpacked":                                             "工作簿有部分内容无法解压",
	"the workbook is larger than max_unpacked_bytes when it is unpacked":                    "工作簿解压后超过 max_unpacked_bytes",
	"a part of the workbook is damaged":                                                     "工作簿有部分内容已损坏",
	"the workbook has a sheet with too many rows":                                           "工作簿中有工作表行数过多",

	// samples
	"the holders statement must have one or two columns: code and type": "holders 语句须有一列或两列：代码和类型",
	"a date before 1900-03-01, about which spreadsheets do not agree":   "日期早于 1900-03-01，各电子表格对其解释不一",
}
