package legacy

import (
	"fmt"

	"oncegate/license"
)

// Region is the code of 云川市 in identity numbers and credit codes; no real place has it.
const Region = "379901"

// A Person is somebody made up.
type Person struct {
	Code    string // 公民身份号码
	Name    string
	Male    bool
	Born    license.Date
	Address string
}

// Holder names the person as licenses do.
func (p Person) Holder() license.HolderID { return license.HolderID{Type: "111", Code: p.Code} }

// A Company is an enterprise made up.
type Company struct {
	Code    string // 统一社会信用代码
	Name    string
	Legal   Person  // 法定代表人
	Kind    string  // of market regulation's own list
	Capital float64 // in 万元
	Address string
	Scope   string
	Founded license.Date
}

// Holder names the company as licenses do.
func (c Company) Holder() license.HolderID { return license.HolderID{Type: "001", Code: c.Code} }

// An Estate is a flat or shop with its owners.
type Estate struct {
	Number string // 不动产权证号
	Unit   string // 不动产单元号
	Place  string // 坐落
	Area   float64
	Shop   bool
	Owners []Person
	Shares []string // one per owner where they own in shares (按份共有); else nil
	On     license.Date
}

// A Marriage is a registered marriage.
type Marriage struct {
	Number   string
	Partners [2]Person
	On       license.Date
	Divorced bool
}

// A Payment is a tax payment and its certificate.
type Payment struct {
	Number string
	Payer  license.Holder
	Kind   string // of the tax bureau's own list
	Amount string // in 元
	Object string
	Ago    int // days before a drop on which it was paid
	Void   bool
}

const (
	stems    = "甲乙丙丁戊己庚辛壬癸"
	branches = "子丑寅卯辰巳午未申酉戌亥"
)

// personName returns the n-th of 1,440 names: a stem and two branches.
func personName(n int) string {
	s, b := []rune(stems), []rune(branches)
	return string([]rune{s[n%len(s)], b[n/len(s)%len(b)], b[n/(len(s)*len(b))%len(b)]})
}

// person makes the n-th person, odd ones female, all of age.
func person(n int) Person {
	born := license.Date(fmt.Sprintf("%04d-%02d-%02d", 1958+n*7%44, n%12+1, n*5%28+1))
	male := n%2 == 0
	order := n%499*2 + 1 // odd: male
	if !male {
		order++
	}
	code, err := license.MakeResidentID(fmt.Sprintf("%s%s%s%s%03d", Region, born[:4], born[5:7], born[8:], order))
	if err != nil {
		panic(err) // the digits above are always sound
	}
	return Person{Code: code, Name: personName(n), Male: male, Born: born, Address: fmt.Sprintf("云川市示例区%s路%d号", streets[n%len(streets)], n%180+1)}
}

var streets = []string{"春风", "秋月", "长河", "明珠", "松涛", "白鹭", "青石", "望山"}

// companyCode makes a credit code whose organisation code is right too.
func companyCode(n int) string {
	for _, check := range "0123456789X" {
		code, err := license.MakeUSCC(fmt.Sprintf("91%sMA9%05d%c", Region, 20000+n, check))
		if err == nil && license.CheckInnerCode(code) == nil {
			return code
		}
	}
	panic("every organisation code has a check character")
}
