// Package mapping maps rows of a legacy system to licenses, by configuration only: columns or paths to metadata elements and
// dictionary fields, local codes to national ones, local statuses to statuses of licenses, and date layouts.
//
// Its one rule is that nothing is guessed. A row that cannot be mapped completely, an unknown status value, a date in
// another layout, an end of validity that is missing where none may be: each makes the finding unavailable, never
// "not found" and never a license with a hole in it. Errors are license.SourceError: they name the row and the column, and never a
// value, because values are personal data.
package mapping

import (
	"errors"
	"fmt"

	"oncegate/license"
)

// Why a question could not be put to a source, or its answer not be used. They are found with errors.Is in
// license.Finding.Err.
var (
	ErrUnknownType = fmt.Errorf("%w: source serves no licenses of this type", license.ErrCannotAsk)
	ErrCannotAsk   = fmt.Errorf("%w: source cannot be asked about this holder", license.ErrCannotAsk)
	ErrOtherHolder = error(&license.SourceError{Cause: license.OtherHolder})
	ErrNoSample    = errors.New("it lists no holders to take a sample of")
	ErrClosed      = error(&license.SourceError{Cause: license.SourceClosed})
)

// A Record says how rows become licenses of one type (字段映射). It is configuration data.
//
// Several rows with the same number and issuer are one license with several holders (joint ownership, marriage); such
// rows may differ only in the holder and in fields that the dictionary marks per_holder. A source may also keep the
// holders in one row as parallel lists; see Holders.Separator. A source must give all holders of a license it gives,
// not only the one asked about.
type Record struct {
	Type      string           `yaml:"type"`       // catalogue id of the license type these rows are
	Number    Value            `yaml:"number"`     // 证照编号 (ZZBH); required
	Issuer    Issuer           `yaml:"issuer"`     // 证照颁发机构; name and code required
	Issued    Value            `yaml:"issued"`     // 颁发日期 (ZZBFRQ)
	ValidFrom Value            `yaml:"valid_from"` // 有效期起始日期 (ZZYXQQSRQ)
	ValidTo   Value            `yaml:"valid_to"`   // 有效期截止日期 (ZZYXQJZRQ); left out: this type has no end. Where it stands, unlimited must list what means 长期, "" included
	Status    Value            `yaml:"status"`     // 状态: codes from the source's list to valid, suspended, revoked, superseded, expired; or a constant. It has no default
	Holders   Holders          `yaml:"holders"`    // 持证主体; code, name and type required
	Fields    map[string]Value `yaml:"fields"`     // the type's own fields, by dictionary name
}

// An Issuer says where the issuing body of a row stands. Where one department issues all, its values are constants.
type Issuer struct {
	Name  Value `yaml:"name"`  // ZZBFJG
	Code  Value `yaml:"code"`  // ZZBFJGDM, 统一社会信用代码
	Level Value `yaml:"level"` // ZZBFJGJB, "1" … "5"; may be left out
}

// Holders says where the holders of a row stand.
type Holders struct {
	Code Value `yaml:"code"` // CZZTDM
	Name Value `yaml:"name"` // CZZT
	// Type is the holder code type (CZZTDMLXDM), three digits; codes maps local ones ("10") to it. The table is used
	// in both directions, so no two local codes may mean the same type.
	Type Value `yaml:"type"`
	// Separator splits code, name, type and per_holder fields of one row into parallel lists, such as "、" or ";".
	// Empty: one holder per row. A single type stands for all holders of its row.
	Separator string `yaml:"separator"`
}

// A Row is one row of a source as text by column name or path. NULL is the empty text, which means "not stated". A
// column that the row does not have at all is an error unless its Value is optional.
type Row map[string]string

// A Plan is a Record bound to its type in a catalogue. It is immutable: any number of goroutines may use it.
type Plan struct {
	record  Record
	typ     license.Type
	holders map[string]string // national holder code type → the source's own
	cat     *license.Catalogue
}

// Bind ties the record to its type. It fails exactly where Check reports a fault.
func (r Record) Bind(c *license.Catalogue) (*Plan, error) {
	if faults := r.Check(c); len(faults) > 0 {
		return nil, errors.New("cannot use the mapping: " + faults[0].Path + ": " + faults[0].Reason)
	}
	t, _ := c.Type(r.Type)
	p := &Plan{record: r, typ: t, cat: c, holders: map[string]string{}}
	for local, national := range r.Holders.Type.Codes {
		p.holders[national] = local
	}
	return p, nil
}

// Type returns the catalogue id of the licenses that the plan makes.
func (p *Plan) Type() string { return p.record.Type }

// Columns returns every column that the record reads, sorted, each once.
func (r Record) Columns() []string { return r.columns(true) }

// Required returns the columns that a row must have, sorted, each once.
func (r Record) Required() []string { return r.columns(false) }
