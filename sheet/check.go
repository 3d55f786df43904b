package sheet

import (
	"math"
	"oncegate/fault"
	"oncegate/strictyaml"
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
func (r *reading) layout(s strictyaml.Value) {
	l := &Layout{faces: r.faces, shapes: r.shapes}
	var items []strictyaml.Value
	for _, e := range s.Entries() {
		v := e.Value
		switch e.Key {
		case "type":
			v.Decode(&l.Type)
		case "title":
			v.Decode(&l.Title)
		case "page":
			v.Decode(&l.Page)
		case "styles":
			l.Styles = map[string]style{}
			for _, named := range v.Entries() {
				var st style
				if named.Value.Decode(&st) {
					l.Styles[named.Key] = st
				}
				r.later = append(r.later, func() { r.style(named.Value, st) })
			}
		case "codes":
			v.Decode(&l.Codes)
		case "items":
			items = v.List()
		default:
			v.Fault("unknown key %q; a layout has type, title, page, styles, codes and items", fault.Clip(e.Key))
		}
	}
	if len(items) > maxItems {
		s.At("items").Fault("more than %d items", maxItems)
		return
	}
	r.head(s, l)
	for _, node := range items {
		var it item
		if node.Decode(&it) {
			l.Items = append(l.Items, it)
			r.later = append(r.later, func() { r.item(node, l, it, 0) })
		}
	}
}

// head checks what stands above the items.
func (r *reading) head(s strictyaml.Value, l *Layout) {
	switch _, twice := r.layouts[l.Type]; {
	case !styleName.MatchString(l.Type):
		s.At("type").Fault("a layout names its license type, such as business-license")
	case twice:
		s.At("type").Fault("there is a layout of type %q already", l.Type)
	default:
		r.layouts[l.Type] = l
	}
	if l.Title == "" {
		s.At("title").Fault("a layout has a title")
	}
	w, h := l.Page.size()
	switch {
	case l.Page.Size != "" && len(l.Page.Box) > 0:
		s.At("page").Fault("a page has a size or a box, not both")
	case !between(w, 20, 2000) || !between(h, 20, 2000):
		s.At("page").Fault("a page has a size of A3, A4, A5, B5 or ID-1, or a box [width, height] of 20 to 2000 mm")
	}
}

func between(v, least, most float64) bool { return v >= least && v <= most } // false for what is no number

// style checks the numbers and names of a style.
func (r *reading) style(s strictyaml.Value, st style) {
	if st.Font != "" && !r.faces.has(st.Font) {
		s.At("font").Fault("there is no font %q: the program has song and hei, others come from the configuration", fault.Clip(st.Font))
	}
	if st.Align != "" && !slices.Contains(aligns, st.Align) {
		s.At("align").Fault("align is %s", strings.Join(aligns, ", "))
	}
	if st.VAlign != "" && !slices.Contains(valigns, st.VAlign) {
		s.At("valign").Fault("valign is %s", strings.Join(valigns, ", "))
	}
	for _, n := range [...]struct {
		key         string
		value       float64
		least, most float64
	}{{"size", st.Size, 2, 200}, {"min", st.Min, 2, 200}, {"leading", st.Leading, 0.8, 5}, {"spacing", st.Spacing, -0.2, 5}, {"bold", st.Bold, 0, 0.2}, {"lines", float64(st.Lines), 1, 1000}} {
		if n.value != 0 && !between(n.value, n.least, n.most) {
			s.At(n.key).Fault("%s lies between %g and %g", n.key, n.least, n.most)
		}
	}
	if st.Size != 0 && st.Min > st.Size {
		s.At("min").Fault("the smallest size is not larger than the size")
	}
}

// shape reads one shape of the library.
func (r *reading) shape(name string, s strictyaml.Value) {
	var sh shape
	if !s.Decode(&sh) {
		return
	}
	if !styleName.MatchString(name) {
		s.Fault("the name of a shape is made of small letters, digits and hyphens")
	}
	if _, twice := r.shapes[name]; twice {
		s.Fault("there is a shape %q already", fault.Clip(name))
	}
	if len(sh.Size) != 2 || !between(sh.Size[0], 0.1, 10000) || !between(sh.Size[1], 0.1, 10000) {
		s.At("size").Fault("a shape has a size [width, height]")
		return
	}
	if len(sh.Parts) == 0 || len(sh.Parts) > maxItems {
		s.At("parts").Fault("a shape has 1 to %d parts", maxItems)
	}
	for i := range sh.Parts {
		if reason := sh.Parts[i].read(); reason != "" {
			s.At("parts").Fault("part %d: %s", i+1, reason)
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
