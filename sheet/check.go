package sheet

import (
	"math"
	"regexp"
	"slices"
	"strings"
)

var (
	styleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	aligns    = []string{"left", "center", "right", "spread"}
	valigns   = []string{"top", "middle", "bottom"}
	formats   = []string{"", "date", "money", "capital"}
)

// layout reads one layout key by key, so that one wrong key does not hide the others' faults.
func (r *reading) layout(s spot) {
	l := &Layout{faces: r.faces, shapes: r.shapes}
	var items []spot
	for key, v := range r.mapping(s) {
		switch key {
		case "type":
			r.decode(v, &l.Type)
		case "title":
			r.decode(v, &l.Title)
		case "page":
			r.decode(v, &l.Page)
		case "styles":
			l.Styles = map[string]style{}
			for name, node := range r.mapping(v) {
				var st style
				if r.decode(node, &st) {
					l.Styles[name] = st
				}
				r.later = append(r.later, func() { r.style(node, st) })
			}
		case "codes":
			r.decode(v, &l.Codes)
		case "items":
			items = r.list(v)
		default:
			r.fault(v, "unknown key %q; a layout has type, title, page, styles, codes and items", clip(key))
		}
	}
	if len(items) > maxItems {
		r.fault(s.at("items"), "more than %d items", maxItems)
		return
	}
	r.head(s, l)
	for _, node := range items {
		var it item
		if r.decode(node, &it) {
			l.Items = append(l.Items, it)
			r.later = append(r.later, func() { r.item(node, l, it, 0) })
		}
	}
}

// head checks what stands above the items.
func (r *reading) head(s spot, l *Layout) {
	switch _, twice := r.layouts[l.Type]; {
	case !styleName.MatchString(l.Type):
		r.fault(s.at("type"), "a layout names its license type, such as business-license")
	case twice:
		r.fault(s.at("type"), "there is a layout of type %q already", l.Type)
	default:
		r.layouts[l.Type] = l
	}
	if l.Title == "" {
		r.fault(s.at("title"), "a layout has a title")
	}
	w, h := l.Page.size()
	switch {
	case l.Page.Size != "" && len(l.Page.Box) > 0:
		r.fault(s.at("page"), "a page has a size or a box, not both")
	case !between(w, 20, 2000) || !between(h, 20, 2000):
		r.fault(s.at("page"), "a page has a size of A3, A4, A5, B5 or ID-1, or a box [width, height] of 20 to 2000 mm")
	}
}

func between(v, least, most float64) bool { return v >= least && v <= most } // false for what is no number

// style checks the numbers and names of a style.
func (r *reading) style(s spot, st style) {
	if st.Font != "" && !r.faces.has(st.Font) {
		r.fault(s.at("font"), "there is no font %q: the program has song and hei, others come from the configuration", clip(st.Font))
	}
	if st.Align != "" && !slices.Contains(aligns, st.Align) {
		r.fault(s.at("align"), "align is %s", strings.Join(aligns, ", "))
	}
	if st.VAlign != "" && !slices.Contains(valigns, st.VAlign) {
		r.fault(s.at("valign"), "valign is %s", strings.Join(valigns, ", "))
	}
	for _, n := range [...]struct {
		key         string
		value       float64
		least, most float64
	}{{"size", st.Size, 2, 200}, {"min", st.Min, 2, 200}, {"leading", st.Leading, 0.8, 5}, {"spacing", st.Spacing, -0.2, 5}, {"bold", st.Bold, 0, 0.2}, {"lines", float64(st.Lines), 1, 1000}} {
		if n.value != 0 && !between(n.value, n.least, n.most) {
			r.fault(s.at(n.key), "%s lies between %g and %g", n.key, n.least, n.most)
		}
	}
	if st.Size != 0 && st.Min > st.Size {
		r.fault(s.at("min"), "the smallest size is not larger than the size")
	}
}

// shape reads one shape of the library.
func (r *reading) shape(name string, s spot) {
	var sh shape
	if !r.decode(s, &sh) {
		return
	}
	if !styleName.MatchString(name) {
		r.fault(s, "the name of a shape is made of small letters, digits and hyphens")
	}
	if _, twice := r.shapes[name]; twice {
		r.fault(s, "there is a shape %q already", clip(name))
	}
	if len(sh.Size) != 2 || !between(sh.Size[0], 0.1, 10000) || !between(sh.Size[1], 0.1, 10000) {
		r.fault(s.at("size"), "a shape has a size [width, height]")
		return
	}
	if len(sh.Parts) == 0 || len(sh.Parts) > maxItems {
		r.fault(s.at("parts"), "a shape has 1 to %d parts", maxItems)
	}
	for i := range sh.Parts {
		if reason := sh.Parts[i].read(); reason != "" {
			r.fault(s.at("parts"), "part %d: %s", i+1, reason)
		}
	}
	r.shapes[name] = sh
}

// read turns what a part says into its outline; the reason says why it cannot.
func (p *part) read() (reason string) {
	if p.Fill == nil && p.Stroke == nil {
		return "a part is filled or stroked"
	}
	if p.Stroke != nil && !between(p.Width, 0.001, 1000) {
		return "a stroke has a width"
	}
	switch {
	case p.Path != "" && p.Circle != nil:
		return "a part is a path or a circle, not both"
	case p.Circle != nil:
		if len(p.Circle) != 3 || !finite(p.Circle) || p.Circle[2] <= 0 {
			return "a circle is [x, y, radius]"
		}
		p.segments = circle(p.Circle[0], p.Circle[1], p.Circle[2])
		return ""
	}
	p.segments, reason = readPath(p.Path)
	return reason
}

func finite(numbers []float64) bool {
	for _, n := range numbers {
		if math.IsNaN(n) || math.Abs(n) > 10000 {
			return false
		}
	}
	return true
}
