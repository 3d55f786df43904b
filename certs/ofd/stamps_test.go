package ofd_test

import (
	"testing"

	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/check"
	"oncegate/sheet"
)

// TestStampArea judges where seals show on a page of 297 by 210 mm: whether a picture can hide the page or another seal.
func TestStampArea(t *testing.T) {
	b := newBureau(t)
	at := func(x, y, w, h float64) ofd.Stamp { return ofd.Stamp{Box: sheet.Box{X: x, Y: y, W: w, H: h}} }
	clipped := func(s ofd.Stamp, x, y, w, h float64) ofd.Stamp { s.Clip = &sheet.Box{X: x, Y: y, W: w, H: h}; return s }
	usual, page := at(220, 150, 40, 40), at(0, 0, 297, 210)
	var tiles []ofd.Stamp
	for i := range 10 {
		tiles = append(tiles, at(float64(i)*29, 0, 29, 150))
	}
	for name, test := range map[string]struct {
		seals [][]ofd.Stamp // of each signature
		want  []check.State
	}{
		"one":                                {[][]ofd.Stamp{{usual}}, []check.State{check.OK}},
		"as large as the page, alone":        {[][]ofd.Stamp{{page}}, []check.State{check.NotCheckable}},
		"as large as the page, beside one":   {[][]ofd.Stamp{{usual}, {page}}, []check.State{check.NotCheckable, check.Failed}},
		"as large as the page, first":        {[][]ofd.Stamp{{page}, {usual}}, []check.State{check.Failed, check.NotCheckable}},
		"more than the page":                 {[][]ofd.Stamp{{usual}, {at(-100, -100, 1000, 1000)}}, []check.State{check.NotCheckable, check.Failed}},
		"a page of tiles":                    {[][]ofd.Stamp{{at(220, 160, 40, 40)}, tiles}, []check.State{check.NotCheckable, check.Failed}},
		"a large one, of which little shows": {[][]ofd.Stamp{{usual}, {clipped(page, 0, 0, 40, 40)}}, []check.State{check.OK, check.OK}},
		"a clip that does not help":          {[][]ofd.Stamp{{usual}, {clipped(page, -10, -10, 400, 400)}}, []check.State{check.NotCheckable, check.Failed}},
		"a page of seals":                    {[][]ofd.Stamp{{at(0, 0, 297, 80)}, {at(0, 80, 297, 80)}}, []check.State{check.NotCheckable, check.NotCheckable}},
		"side by side":                       {[][]ofd.Stamp{{usual}, {at(180, 150, 40, 40)}}, []check.State{check.OK, check.OK}},
		"touching":                           {[][]ofd.Stamp{{usual}, {at(185, 150, 40, 40)}}, []check.State{check.OK, check.OK}},
		"over each other":                    {[][]ofd.Stamp{{usual}, {at(215, 150, 40, 40)}}, []check.State{check.NotCheckable, check.NotCheckable}},
		"a small one inside another":         {[][]ofd.Stamp{{usual}, {at(230, 160, 5, 5)}}, []check.State{check.NotCheckable, check.NotCheckable}},
		"its own over each other":            {[][]ofd.Stamp{{usual, usual}}, []check.State{check.OK}},
	} {
		pkg := b.write(t, document(t))
		for _, stamps := range test.seals {
			pkg = b.sign(t, pkg, ofd.Signing{Seal: ofd.SealWith(b.holder), Stamps: stamps})
		}
		r := b.verify(t, pkg)
		for i, want := range test.want {
			if s := step(r.Signatures[i].Steps, ofd.StepStampArea); s.State != want || want != check.OK && s.Reason == "" {
				t.Errorf("%s: signature %d: %+v, want %s", name, i, s, want)
			}
		}
	}

	// Where a page does not state its size, the document does.
	for name, test := range map[string]struct {
		change func(string, []byte) []byte
		want   check.State
	}{
		"of the document": {replace("Content.xml", "ofd:Area>", "ofd:Other>"), check.Failed},
		"no number":       {replace("Content.xml", "0 0 297 210", "A4"), check.NotCheckable},
		"no area":         {replace("Content.xml", "0 0 297 210", "0 0 0 0"), check.NotCheckable},
	} {
		pkg := b.sign(t, edit(t, b.write(t, document(t)), test.change), ofd.Signing{Sign: ofd.SignWith(cms.Config{Bare: true}, b.signer)})
		r := b.verify(t, b.sign(t, pkg, ofd.Signing{Seal: ofd.SealWith(b.holder), Stamps: []ofd.Stamp{page}}))
		if s := step(r.Signatures[1].Steps, ofd.StepStampArea); s.State != test.want {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
