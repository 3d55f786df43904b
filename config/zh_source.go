package config

import "oncegate/language"

// recordMessages are the Chinese of why a record cannot be signed. Why a source did not answer is license.SourceMessages.
var recordMessages = language.Messages{
	"the source's data is faulty":                                 "数据源的数据有误",
	"find signed license":                                         "查找已签发证照",
	"the source's record cannot be signed":                        "数据源的记录无法签发",
	"no key signs for the issuing body":                           "没有为该颁发机构签发的密钥",
	"the source returned one license with two different contents": "数据源对同一证照给出了两种内容",
	"the license was signed elsewhere":                            "证照由他处签发",
	"a newer state of the license is signed":                      "已签发该证照更新的状态",
}
