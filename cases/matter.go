package cases

// A Matter is one thing a department does for people (事项), with the materials it needs. Matters are data.
type Matter struct {
	Code       string     `yaml:"code"`       // 事项编码: opaque, unique in the configuration
	Name       string     `yaml:"name"`       // 食品经营许可
	NameEN     string     `yaml:"name_en"`    //
	Department string     `yaml:"department"` // id of the department that decides it
	Roles      []Role     `yaml:"roles"`      // roles other than applicant, and what confirms them
	Materials  []Material `yaml:"materials"`  //
	Chain      []string   `yaml:"chain"`      // for a chain (一件事): the matters' codes; then Materials is empty
}

// A Role is a role other than applicant, confirmed by a field of a license, never by the caller.
type Role struct {
	Name        string       `yaml:"name"` // "legal_representative"
	Title       string       `yaml:"title"`
	ConfirmedBy Confirmation `yaml:"confirmed_by"`
}

// A Confirmation names the material whose license proves a role: the party's code must equal one of the values of Field.
type Confirmation struct {
	Material string `yaml:"material"` // code of a material of the same matter
	Field    string `yaml:"field"`    // "legal_representative_code", or "holder_code" for any of the license's holders
}

// Need is the national code is_need.
type Need int

// The list is_need.
const (
	Required  Need = 1 // 必要
	Optional  Need = 2 // 非必要
	Tolerable Need = 3 // 容缺后补
)

// A Material is one material of a matter.
type Material struct {
	Code        string        `yaml:"code"` // unique in the matter
	Name        string        `yaml:"name"`
	NameEN      string        `yaml:"name_en"`
	Need        Need          `yaml:"is_need"`
	Route       string        `yaml:"route"`        // 免提交 route: "license" 电子证照, "data" 数据共享, "promise" 告知承诺, "upload" 申请人提交
	LicenseType string        `yaml:"license_type"` // catalogue id; with routes "license" and "data"
	Role        string        `yaml:"role"`         // whose license: a role of the matter; empty: applicant
	Expect      []Expectation `yaml:"expect"`       // what the license must say, beyond being valid
	Fallback    Fallback      `yaml:"fallback"`     //
}

// An Expectation compares a field of the license; if it does not hold the material is mismatched.
type Expectation struct {
	Field  string `yaml:"field"`
	Equals string `yaml:"equals"` // a literal value; or
	Role   string `yaml:"role"`   // the code of the party in this role
}

// A Fallback is what happens when a material is not met: never a dead end for the applicant.
type Fallback struct {
	Kind string `yaml:"kind"` // "tolerate" 容缺, "promise" 告知承诺, "upload" 申请人提交
	Days int    `yaml:"days"` // working days (工作日) until it must be made good; 0 with "upload"
}
