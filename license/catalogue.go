package license

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
