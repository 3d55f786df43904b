package mapping

import (
	"errors"
	"maps"
	"strings"

	"oncegate/license"
)

// A Collector gathers rows into licenses. It belongs to one goroutine.
type Collector struct {
	plan   *Plan
	rows   int
	drafts []*draft // in the order of their first rows
	byKey  map[key]*draft
}

// key tells licenses of one type apart.
type key struct{ number, issuer string }

// A draft is a license whose rows are still coming in.
type draft struct {
	row       int // its first row
	license   license.License
	perHolder map[string][]string // values in the order of license.Holders
	seen      map[license.HolderID]bool
}

// Collect starts a collection.
func (p *Plan) Collect() *Collector {
	return &Collector{plan: p, byKey: map[key]*draft{}}
}

// Add maps one row. Its error is a *license.SourceError, after which the collection is of no more use.
func (c *Collector) Add(r Row) error {
	n := c.rows
	c.rows++
	d, err := c.plan.read(r, n)
	if err != nil {
		return err
	}
	k := key{d.license.Number, d.license.Issuer.Code}
	if first, ok := c.byKey[k]; ok {
		return first.join(d)
	}
	c.byKey[k] = d
	c.drafts = append(c.drafts, d)
	return nil
}

// Licenses checks what was gathered against the catalogue, accepting and flagging what a source's stock may break
// (license.Import). The licenses stand in the order of their first rows.
func (c *Collector) Licenses() ([]license.License, error) {
	var all []license.License
	for _, d := range c.drafts {
		l := d.license
		for name, values := range d.perHolder {
			l.Fields[name] = strings.Join(values, "\n")
		}
		l, err := license.Validate(c.plan.cat, l, license.Import)
		if err != nil { // names fields and rules, never values
			return nil, &license.SourceError{Cause: license.BadRecord, Row: d.row + 1, Detail: strings.ReplaceAll(err.Error(), "\n", "; ")}
		}
		all = append(all, l)
	}
	return all, nil
}

// join adds the holders of a further row of the same license.
func (d *draft) join(next *draft) error {
	a, b := d.license, next.license
	if a.Issuer != b.Issuer || a.Issued != b.Issued || a.ValidFrom != b.ValidFrom || a.ValidTo != b.ValidTo || a.Status != b.Status || !maps.Equal(a.Fields, b.Fields) {
		return &license.SourceError{Cause: license.BadRecord, Row: next.row + 1, Detail: "differs from row " + itoa(d.row+1) + " of the same license in more than the holder"}
	}
	for _, h := range b.Holders {
		if d.seen[h.HolderID] {
			return &license.SourceError{Cause: license.BadRecord, Row: next.row + 1, Detail: "names a holder of row " + itoa(d.row+1) + " a second time"}
		}
		d.seen[h.HolderID] = true
	}
	d.license.Holders = append(d.license.Holders, b.Holders...)
	for name, values := range next.perHolder {
		d.perHolder[name] = append(d.perHolder[name], values...)
	}
	return nil
}

func (d *draft) holderSet() map[license.HolderID]bool {
	set := make(map[license.HolderID]bool, len(d.license.Holders))
	for _, h := range d.license.Holders {
		set[h.HolderID] = true
	}
	return set
}

// read maps one row on its own.
func (p *Plan) read(r Row, n int) (*draft, error) {
	in := reader{row: r, n: n}
	rec := p.record
	l := license.License{
		Type:      p.record.Type,
		Number:    in.text(rec.Number),
		Issuer:    license.Issuer{Name: in.text(rec.Issuer.Name), Code: in.text(rec.Issuer.Code), Level: in.text(rec.Issuer.Level)},
		Issued:    in.date(rec.Issued, Value.date),
		ValidFrom: in.date(rec.ValidFrom, Value.date),
		ValidTo:   in.date(rec.ValidTo, Value.end),
		Status:    license.Status(in.text(rec.Status)),
		Fields:    map[string]string{},
	}
	if in.err == nil && l.Number == "" {
		in.fail(rec.Number, errors.New("the license has no number"))
	}
	if in.err == nil && l.Status == "" {
		in.fail(rec.Status, errors.New("no status is stated, and none is guessed"))
	}
	d := &draft{row: n, license: l, perHolder: map[string][]string{}}
	d.license.Holders = in.holders(rec.Holders)
	if d.seen = d.holderSet(); len(d.seen) < len(d.license.Holders) {
		in.fail(rec.Holders.Code, errors.New("a holder stands there twice"))
	}
	p.readFields(&in, d)
	return d, in.err
}

func (p *Plan) readFields(in *reader, d *draft) {
	for _, field := range p.typ.Fields {
		v, ok := p.record.Fields[field.Name]
		if !ok || in.err != nil {
			continue
		}
		convert := Value.convert
		if field.Kind == license.KindDate {
			convert = Value.convertDay
		}
		if field.PerHolder {
			d.perHolder[field.Name] = in.list(v, p.record.Holders.Separator, len(d.license.Holders), convert)
			continue
		}
		s, err := v.raw(in.row)
		if err == nil {
			s, err = convert(v, s)
		}
		if err != nil {
			in.fail(v, err)
		}
		if s != "" {
			d.license.Fields[field.Name] = s
		}
	}
}

// convertDay is convert for a date among the type's own fields.
func (v Value) convertDay(s string) (string, error) {
	d, err := v.day(s)
	return string(d), err
}
