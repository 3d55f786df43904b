package document

import (
	"bytes"
	"slices"

	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// dpi of a picture for people: sharp on paper.
const dpi = 150

// page lays out a version. The QR code says the identifier, which stands openly in every license.
func (m *Maker) page(v register.Version, c sheet.Content) (sheet.Page, error) {
	layout, ok := m.config.Layouts.For(v.Type)
	if !ok {
		return sheet.Page{}, &sheet.Error{Code: sheet.NoLayout, Field: "type"}
	}
	c.QR = v.Identifier
	return layout.Fill(c)
}

// values are claims as a layout takes them. Holders of whom nothing is said leave no gap: how many a license has is no
// business of who sees one.
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

// drawn draws a page for people.
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
