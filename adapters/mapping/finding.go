package mapping

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"oncegate/license"
)

// Unavailable is the finding of a question that could not be answered. The error must carry no personal data.
func Unavailable(err error) license.Finding {
	return license.Finding{State: license.IsUnavailable, Err: err}
}

// maxCode bounds what a question may carry to a source, in characters.
const maxCode = 128

// Asked is a question in the source's own terms.
type Asked struct {
	HolderCode string // as the gateway keeps it: upper case, without spaces
	HolderType string // the source's own code for the type of HolderCode
	Number     string // 证照编号, or "" for all of the holder's
}

// Ask translates a question. It refuses, with ErrUnknownType or ErrCannotAsk, what the source could only misunderstand:
// another license type, a holder code type that the source does not keep, codes with control characters.
func (p *Plan) Ask(q license.Question) (Asked, error) {
	if q.Type != p.record.Type {
		return Asked{}, ErrUnknownType
	}
	id := q.Holder.Normal()
	a := Asked{HolderCode: id.Code, HolderType: id.Type, Number: strings.TrimSpace(q.Number)}
	for _, s := range []string{a.HolderCode, a.HolderType, a.Number} {
		if utf8.RuneCountInString(s) > maxCode || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return Asked{}, fmt.Errorf("%w: the code or number is no plain text of at most %d characters", ErrCannotAsk, maxCode)
		}
	}
	if a.HolderCode == "" || a.HolderType == "" {
		return Asked{}, fmt.Errorf("%w: the question names no holder", ErrCannotAsk)
	}
	kind := p.record.Holders.Type
	if kind.Const != "" && kind.Const != id.Type {
		return Asked{}, fmt.Errorf("%w: the source keeps holders of code type %s only", ErrCannotAsk, kind.Const)
	}
	if kind.Codes != nil {
		local, ok := p.holders[id.Type]
		if !ok {
			return Asked{}, fmt.Errorf("%w: the source has no code for this holder code type", ErrCannotAsk)
		}
		a.HolderType = local
	}
	return a, nil
}

// Answer makes the finding for q from the rows the source gave for it: all of them, also those of co-holders. Rows with
// another number than the one asked for are left out. A license of which the holder asked about is no holder makes the
// whole answer unusable, because the source then answered another question.
func (p *Plan) Answer(q license.Question, rows []Row) license.Finding {
	c := p.Collect()
	for _, r := range rows {
		if number := strings.TrimSpace(q.Number); number != "" {
			if s, err := p.record.Number.text(r); err == nil && s != number {
				c.rows++
				continue
			}
		}
		if err := c.Add(r); err != nil {
			return Unavailable(err)
		}
	}
	records, err := c.Licenses()
	if err != nil {
		return Unavailable(err)
	}
	for _, l := range records {
		if !HeldBy(l, q.Holder) {
			return Unavailable(ErrOtherHolder)
		}
	}
	if len(records) == 0 {
		return license.Finding{State: license.IsNotFound}
	}
	return license.Finding{State: license.IsFound, Records: records}
}

// HeldBy says whether the license names h among its holders.
func HeldBy(l license.License, h license.HolderID) bool {
	h = h.Normal()
	for _, holder := range l.Holders {
		if holder.HolderID == h {
			return true
		}
	}
	return false
}

// Holder is the holder that a source lists by its code and by its own code of the type of that code, which is only read where the mapping
// has a table of them. It undoes what Ask does.
func (p *Plan) Holder(code, localType string) (license.HolderID, error) {
	kind := p.record.Holders.Type.Const
	if p.record.Holders.Type.Const == "" {
		var err error
		if kind, err = p.record.Holders.Type.convert(strings.TrimSpace(localType)); err != nil {
			return license.HolderID{}, err
		}
	}
	return license.HolderID{Type: kind, Code: code}.Normal(), nil
}
