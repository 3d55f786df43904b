package license

import (
	"slices"
)

// A Catalogue is the list of license types (证照目录, GB/T 36902) a city uses: data, never code. It carries a list id
// and version so that a code is never read against another list.
type Catalogue struct {
	List        string     `yaml:"list"`         // list id with version, such as "example-city-licenses/2026-11"
	Types       []Type     `yaml:"types"`        //
	HolderCodes []CodeType `yaml:"holder_codes"` // 持证主体代码类型代码
}

// A Type is one type of license (证照类型).
type Type struct {
	ID             string   `yaml:"id"`              // short name used in grants, matters and calls: "business-license"
	Code           string   `yaml:"code"`            // 证照类型代码, 21 characters: USCC of the defining body and three digits
	CodeConfidence string   `yaml:"code_confidence"` // "published" or "local" (defined by the city itself)
	Name           string   `yaml:"name"`            // 营业执照
	NameEN         string   `yaml:"name_en"`         // business license
	DefinedBy      Issuer   `yaml:"defined_by"`      // 证照定义机构
	HolderCategory string   `yaml:"holder_category"` // "1" 自然人 "2" 法人 "3" 混合 "4" 其他
	ValidityRange  string   `yaml:"validity_range"`  // several joined by "^"
	Issuers        []string `yaml:"issuers"`         // USCCs that may issue it; empty: any whose certificate says so
	Fields         []Field  `yaml:"fields"`          // the type's own fields; GB/T 36903 metadata are common to all
}

// A Field is one entry of a type's field dictionary.
type Field struct {
	Name      string `yaml:"name"`       // "legal_representative"
	Short     string `yaml:"short"`      // national short name where one exists, such as "KZ_FDDBR"
	Title     string `yaml:"title"`      // 法定代表人
	TitleEN   string `yaml:"title_en"`   //
	Kind      string `yaml:"kind"`       // "text", "date", "uscc", "resident-id", "amount", "code"
	MaxLength int    `yaml:"max_length"` // characters; 0: 512
	Required  bool   `yaml:"required"`   //
	PerHolder bool   `yaml:"per_holder"` // one value per holder, in the holders' order, joined by "\n" in License.Fields
	Sensitive bool   `yaml:"sensitive"`  // sensitive personal information (敏感个人信息)
}

// A CodeType is one kind of holder code and how it is checked.
type CodeType struct {
	Code  string `yaml:"code"`  // "001"
	Name  string `yaml:"name"`  // 统一社会信用代码
	Check string `yaml:"check"` // "gb32100", "gb11643" or "" (no check known)
}

// List ids of the code lists that stand here. A code is never read against another list.
const (
	MetadataList   = "gb-t-36903-metadata/2018-oncegate-1"
	HolderCodeList = "gb-t-36903-holder-codes/2018-oncegate-1"
	StatusList     = "oncegate-license-status/1"
)

// Names of the common metadata, as grants, answers and claims use them.
const (
	FieldIdentifier     = "identifier"
	FieldTypeCode       = "type_code"
	FieldName           = "name"
	FieldNumber         = "number"
	FieldIssuerName     = "issuer_name"
	FieldIssuerCode     = "issuer_code"
	FieldIssuerLevel    = "issuer_level"
	FieldIssued         = "issued"
	FieldValidFrom      = "valid_from"
	FieldValidTo        = "valid_to"
	FieldStatus         = "status"
	FieldHolderName     = "holder_name"
	FieldHolderCode     = "holder_code"
	FieldHolderCodeType = "holder_code_type"
)

// A Metadatum is one entry of the dictionary that all types share.
type Metadatum struct {
	Field
	Always bool // stands openly in every license, so it is never granted on its own
	Live   bool // asked from the source each time, so it is no part of the signed content
}

// Metadata returns the common dictionary (GB/T 36903, short names as in its table), in the fixed order of claims. Lengths
// are those of the national aggregation tables. The list id is MetadataList.
func Metadata() []Metadatum { return slices.Clone(metadata) }

// metadata is the dictionary, made once: every license that is read walks over it.
var metadata = func() []Metadatum {
	entry := func(name, short, title, titleEN, kind string, max int, required bool) Metadatum {
		return Metadatum{Field: Field{Name: name, Short: short, Title: title, TitleEN: titleEN, Kind: kind, MaxLength: max, Required: required}}
	}
	always := func(m Metadatum) Metadatum { m.Always = true; return m }
	live := func(m Metadatum) Metadatum { m.Live = true; return m }
	perHolder := func(m Metadatum) Metadatum { m.PerHolder = true; return m }
	sensitive := func(m Metadatum) Metadatum { m.Sensitive = true; return m }
	return []Metadatum{
		always(entry(FieldIdentifier, "ZZBS", "证照标识", "license identifier", "code", 128, true)),
		always(entry(FieldTypeCode, "ZZLXDM", "证照类型代码", "license type code", "code", 21, false)),
		entry(FieldName, "ZZMC", "证照名称", "license name", "text", 512, true),
		entry(FieldNumber, "ZZBH", "证照编号", "license number", "text", 128, true),
		entry(FieldIssuerName, "ZZBFJG", "证照颁发机构", "issuing body", "text", 512, true),
		entry(FieldIssuerCode, "ZZBFJGDM", "证照颁发机构代码", "issuing body's code", "uscc", 18, true),
		entry(FieldIssuerLevel, "ZZBFJGJB", "证照颁发机构级别", "issuing body's level", "code", 1, false),
		entry(FieldIssued, "ZZBFRQ", "证照颁发日期", "day of issue", "date", 10, true),
		entry(FieldValidFrom, "ZZYXQQSRQ", "有效期起始日期", "valid from", "date", 10, false),
		entry(FieldValidTo, "ZZYXQJZRQ", "有效期截止日期", "valid to", "date", 10, false),
		live(entry(FieldStatus, "", "证照状态", "status", "code", 16, true)),
		perHolder(entry(FieldHolderName, "CZZT", "持证主体", "holder", "text", 512, true)),
		sensitive(perHolder(entry(FieldHolderCode, "CZZTDM", "持证主体代码", "holder's code", "code", 64, true))),
		perHolder(entry(FieldHolderCodeType, "CZZTDMLXDM", "持证主体代码类型代码", "type of the holder's code", "code", 3, true)),
	}
}()

// FindMetadatum returns the common entry with this field name or this national short name.
func FindMetadatum(nameOrShort string) (Metadatum, bool) {
	for _, m := range metadata {
		if nameOrShort != "" && (m.Name == nameOrShort || m.Short == nameOrShort) {
			return m, true
		}
	}
	return Metadatum{}, false
}

// HolderCodes returns the national list of holder code types (持证主体代码类型). The list id is HolderCodeList.
func HolderCodes() []CodeType {
	return []CodeType{
		{"001", "统一社会信用代码", GB32100},
		{"099", "其他法人或其他组织有效证件代码", ""},
		{"111", "公民身份号码", GB11643},
		{"114", "解放军军官证", ""},
		{"115", "武警警官证", ""},
		{"118", "解放军士兵证", ""},
		{"119", "武警士兵证", ""},
		{"120", "解放军文职人员证", ""},
		{"122", "武警文职人员证", ""},
		{"411", "外交护照", ""},
		{"412", "公务护照", ""},
		{"413", "公务普通护照", ""},
		{"414", "普通护照", ""},
		{"511", "台湾居民来往大陆通行证", ""},
		{"516", "港澳居民来往内地通行证", ""},
		{"999", "其他自然人有效证件", ""},
	}
}

// Statuses returns the internal status list, StatusList.
func Statuses() []Status { return []Status{Valid, Suspended, Revoked, Superseded, Expired} }
