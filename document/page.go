package document

import (
	"bytes"
	"slices"
	"strings"

	"oncegate/certs/ofd"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// dpi of a picture for people: sharp on paper.
const dpi = 150

// page lays out what a version says by claims. The QR code opens the public page of the document's code.
func (m *Maker) page(v register.Version, claims []license.Claim, c sheet.Content) (sheet.Page, error) {
	layout, ok := m.config.Layouts.For(v.Type)
	if !ok {
		return sheet.Page{}, &sheet.Error{Code: sheet.NoLayout, Field: "type"}
	}
	c.Values, c.QR = values(claims), m.config.CodeURL(v, printedTail(layout.Shows(), claims))
	return layout.Fill(c)
}

// values are claims as a layout takes them. Holders without a claim leave no gap, which would reveal how many holders the license has.
func values(claims []license.Claim) map[string][]string {
	var holders []int
	for _, c := range claims {
		if c.Holder >= 0 {
			holders = append(holders, c.Holder)
		}
	}
	slices.Sort(holders)
	holders = slices.Compact(holders)
	out := make(map[string][]string)
	for _, c := range claims {
		if c.Holder < 0 {
			out[c.Field] = []string{c.Value}
			continue
		}
		if out[c.Field] == nil {
			out[c.Field] = make([]string, len(holders))
		}
		place, _ := slices.BinarySearch(holders, c.Holder)
		out[c.Field][place] = c.Value
	}
	return out
}

// drawn renders a page for people.
func drawn(form string, p sheet.Page) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch form {
	case PDF:
		err = sheet.PDF(&b, p)
	case PNG:
		err = sheet.PNG(&b, p, dpi)
	case SVG:
		err = sheet.SVG(&b, p)
	default:
		err = ErrForm
	}
	return b.Bytes(), err
}

// data are claims as metadata (GB/T 36903), after what every license discloses. A field without a national short name stands on
// the page only.
func (m *Maker) data(v register.Version, claims []license.Claim) []ofd.Datum {
	t, _ := m.config.Catalogue.Type(v.Type)
	data := []ofd.Datum{{Name: ofd.Identifier, Value: v.Identifier}, {Name: "ZZLXDM", Value: t.Code}}
	for _, c := range claims {
		field, ok := t.Field(c.Field)
		if !ok || field.Short == "" {
			continue
		}
		data = append(data, ofd.Datum{Name: field.Short, Value: plain(field.Kind, c.Value)})
		if c.Field == license.FieldHolderCodeType {
			if kind, ok := m.config.Catalogue.CodeType(c.Value); ok {
				data = append(data, ofd.Datum{Name: "CZZTDMLX", Value: kind.Name})
			}
		}
	}
	return data
}

// plain is a value in the form of metadata: dates are yyyyMMdd.
func plain(kind, value string) string {
	if kind == "date" {
		return strings.ReplaceAll(value, "-", "")
	}
	return value
}
