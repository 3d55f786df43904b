package ofd

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"oncegate/check"
	"oncegate/sheet"
)

// stamps looks whether the seal shows on pages of the document.
func (v *verification) stamps(s *signed) check.Step {
	if len(s.stamps) == 0 {
		return check.Fail(StepStamp, "The seal shows on no page.")
	}
	for _, a := range s.stamps {
		_, known := v.pageIDs[a.page]
		switch {
		case !known:
			return check.Fail(StepStamp, "The seal is stamped on a page that the document does not have.")
		case a.boundary == nil || a.boundary.W <= 0 || a.boundary.H <= 0 || a.clipped && a.clip == nil:
			return check.Fail(StepStamp, "The place of the seal cannot be read.")
		}
	}
	if len(s.stamps) > 1 {
		return check.Pass(StepStamp, fmt.Sprintf("The seal shows in %d places.", len(s.stamps)))
	}
	return check.Pass(StepStamp, "")
}

const (
	// maxStampShare is the part of a page that the stamps of one seal cover at most: a round seal has 58 mm or less, which is
	// a twentieth of an A4 page and half of the page of a card.
	maxStampShare = 0.5
	// maxStampOverlap is the part of a stamp that another seal's may cover: seals side by side touch.
	maxStampOverlap = 0.25
	// maxPageStamps bounds the stamps that are compared on one page.
	maxPageStamps = 64
)

// placed is where a stamp shows on a page, of the signature by index.
type placed struct {
	by  int
	box sheet.Box
}

// stampAreas adds to each seal that shows somewhere whether its picture can hide what the page says. A picture lies over the
// page, and nothing but its maker decides what it shows: one as large as the page replaces it. Signatures.xml is not signed,
// so which seal came first is not known: where two lie over each other, both are named.
func (v *verification) stampAreas(ctx context.Context, all []*signed, judged []Signature) error {
	pages := make(map[int][]placed)
	seals := 0
	for i, s := range all {
		if s == nil || s.kind != typeSeal {
			continue
		}
		seals++
		for _, a := range s.stamps {
			if page, known := v.pageIDs[a.page]; known && a.boundary != nil {
				pages[page] = append(pages[page], placed{i, a.visible()})
			}
		}
	}
	worst := make([]check.Step, len(all))
	for page := range v.pages {
		stamps := pages[page]
		if len(stamps) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		area, err := v.pageArea(ctx, page)
		if err != nil {
			return err
		}
		for _, st := range v.pageStamps(page, area, stamps, len(all) > 1) {
			if w := &worst[st.by]; w.Name == "" || w.State == check.NotCheckable && st.step.State == check.Failed {
				*w = st.step
			}
		}
	}
	for i, s := range all {
		if s == nil || s.kind != typeSeal || len(s.stamps) == 0 {
			continue
		}
		if worst[i].Name == "" {
			worst[i] = check.Pass(StepStampArea, "")
		}
		judged[i].Steps = append(judged[i].Steps, worst[i])
	}
	return nil
}

// stampFault is the first fault of a signature's stamps.
type stampFault struct {
	by   int
	step check.Step
}

// pageStamps names the seals whose stamps on a page are too large or lie over each other. Over a document that others signed
// too, a seal as large as the page fails.
func (v *verification) pageStamps(page int, area *sheet.Box, stamps []placed, others bool) (faults []stampFault) {
	fault := func(by int, step check.Step) { faults = append(faults, stampFault{by, step}) }
	unknown := func(by int, format string, args ...any) {
		fault(by, check.CannotCheck(StepStampArea, fmt.Sprintf(format, args...)))
	}
	covers := make(map[int]float64)
	for _, s := range stamps {
		switch {
		case area == nil || area.W <= 0 || area.H <= 0:
			unknown(s.by, "The size of page %d cannot be read: how much of it the seal covers is not known.", page+1)
			continue
		case len(stamps) > maxPageStamps:
			unknown(s.by, "There are more than %d stamps on page %d.", maxPageStamps, page+1)
			continue
		}
		covers[s.by] += overlap(s.box, sheet.Box{W: area.W, H: area.H}) / (area.W * area.H)
	}
	together := 0.0
	for _, share := range covers {
		together += share
	}
	for by, share := range covers {
		switch {
		case share <= maxStampShare && together > maxStampShare && len(covers) > 1:
			unknown(by, "The seals on page %d cover most of it together: look whether their pictures hide what the page says.", page+1)
		case share <= maxStampShare:
		case others:
			fault(by, check.Fail(StepStampArea, fmt.Sprintf("The seal is stamped over most of page %d, which others signed too: its picture hides what they signed.", page+1)))
		default:
			unknown(by, "The seal is stamped over most of page %d: look whether its picture hides what the page says.", page+1)
		}
	}
	if len(stamps) > maxPageStamps {
		return faults
	}
	for i, a := range stamps {
		for _, b := range stamps[:i] {
			if a.by != b.by && overlap(a.box, b.box) > maxStampOverlap*min(a.box.W*a.box.H, b.box.W*b.box.H) {
				unknown(a.by, "On page %d the seals of signatures %d and %d lie over each other: one can hide the other.", page+1, b.by+1, a.by+1)
				unknown(b.by, "On page %d the seals of signatures %d and %d lie over each other: one can hide the other.", page+1, b.by+1, a.by+1)
			}
		}
	}
	return faults
}

// pageArea is the size of a page: its own, or the document's; nil when it cannot be read.
func (v *verification) pageArea(ctx context.Context, page int) (*sheet.Box, error) {
	text, err := v.read(ctx, v.pages[page].path, MaxXML, v.budget)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Step == StepXML:
		return nil, nil
	case err != nil:
		return nil, err
	}
	text = text[:min(len(text), maxPageHead)]
	if err := v.budget.spend(workPerXML * int64(len(text))); err != nil {
		return nil, err
	}
	if own, found := physicalBox(text); found {
		return own, nil
	}
	return v.area, nil
}

// maxPageHead is how far into a page its area is looked for, in bytes.
const maxPageHead = 64 << 10

// physicalBox finds Area/PhysicalBox of a page, which the standard (clause 7.7) has before Content. The box is nil when it
// cannot be read.
func physicalBox(text []byte) (box *sheet.Box, found bool) {
	d := xml.NewDecoder(bytes.NewReader(text))
	var inside []string
	for {
		token, err := d.RawToken()
		if err != nil {
			return nil, false
		}
		switch t := token.(type) {
		case xml.StartElement:
			if inside = append(inside, t.Name.Local); len(inside) == 2 && t.Name.Local == "Content" {
				return nil, false
			}
		case xml.EndElement:
			if len(inside) == 0 {
				return nil, false
			}
			inside = inside[:len(inside)-1]
		case xml.CharData:
			if len(inside) == 3 && inside[1] == "Area" && inside[2] == "PhysicalBox" {
				return parseBox(string(t)), true
			}
		}
	}
}

// visible is the part of a stamp that shows: all of its boundary, or what Clip leaves of it.
func (a stampAnnot) visible() sheet.Box {
	box := *a.boundary
	if a.clip == nil {
		return box
	}
	right, bottom := min(box.X+box.W, box.X+a.clip.X+a.clip.W), min(box.Y+box.H, box.Y+a.clip.Y+a.clip.H)
	x, y := box.X+max(0, a.clip.X), box.Y+max(0, a.clip.Y)
	return sheet.Box{X: x, Y: y, W: max(0, right-x), H: max(0, bottom-y)}
}

// overlap is the area that two boxes share, mm².
func overlap(a, b sheet.Box) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	return max(0, w) * max(0, h)
}

// parseBox reads ST_Box: four numbers with spaces between; nil when it is none.
func parseBox(s string) *sheet.Box {
	parts := strings.Fields(s)
	if len(parts) != 4 {
		return nil
	}
	var v [4]float64
	for i, part := range parts {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil || f != f || f > 1e6 || f < -1e6 {
			return nil
		}
		v[i] = f
	}
	return &sheet.Box{X: v[0], Y: v[1], W: v[2], H: v[3]}
}
