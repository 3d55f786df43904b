package sheet

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"oncegate/fault"
	"oncegate/strictyaml"
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

// head checks the members above the items.
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

// item checks one item. Deep says how many repeats it stands in.
func (r *reading) item(s strictyaml.Value, l *Layout, it item, deep int) {
	kinds := 0
	kind := func(set bool, key string, check func(strictyaml.Value)) {
		if set {
			kinds++
			check(s.At(key))
		}
	}
	kind(it.Text != nil, "text", func(s strictyaml.Value) {
		r.box(s, l, "box", it.Text.Box)
		r.look(s, l, "style", it.Text.Style, "look", it.Text.Look)
		if it.Text.Text == "" {
			s.Fault("a text item has a text")
		}
		if it.Text.Only != "" && it.Text.Only != "original" && it.Text.Only != "copy" {
			s.At("only").Fault("only is original or copy")
		}
		r.glyphs(s.At("text"), l.style(it.Text.Style, "text", it.Text.Look).Font, it.Text.Text)
	})
	kind(it.Field != nil, "field", func(s strictyaml.Value) { r.field(s, l, it.Field, deep) })
	kind(it.Line != nil, "line", func(s strictyaml.Value) {
		if !r.inside(l, it.Line.From, 2) || !r.inside(l, it.Line.To, 2) {
			s.Fault("a line goes from [x, y] to [x, y] on the page")
		}
		r.width(s, "width", it.Line.Width)
	})
	kind(it.Rect != nil, "rect", func(s strictyaml.Value) {
		r.box(s, l, "box", it.Rect.Box)
		r.alpha(s, it.Rect.Alpha)
		if it.Rect.Stroke != nil {
			r.width(s, "width", it.Rect.Width)
		}
		if it.Rect.Stroke == nil && it.Rect.Fill == nil {
			s.Fault("a rectangle is filled or stroked")
		}
		if len(it.Rect.Box) == 4 && !between(it.Rect.Radius, 0, min(it.Rect.Box[2], it.Rect.Box[3])/2) {
			s.At("radius").Fault("the radius is at most half of the shorter side")
		}
	})
	kind(it.Shape != nil, "shape", func(s strictyaml.Value) {
		r.box(s, l, "box", it.Shape.Box)
		r.alpha(s, it.Shape.Alpha)
		r.known(s.At("name"), it.Shape.Name)
		if !between(it.Shape.Turn, -360, 360) {
			s.At("turn").Fault("turn lies between -360 and 360 degrees")
		}
	})
	kind(it.Waves != nil, "waves", func(s strictyaml.Value) {
		w := it.Waves
		r.box(s, l, "box", w.Box)
		r.alpha(s, w.Alpha)
		r.width(s, "width", w.Width)
		if !between(float64(w.Strands), 1, 400) || !between(w.Length, 1, 500) || !between(w.Height, 0, 100) || !between(w.Drift, -1, 1) {
			s.Fault("waves have 1 to 400 strands, a length of 1 to 500 mm, a height of 0 to 100 mm and a drift of -1 to 1")
		}
	})
	kind(it.Frame != nil, "frame", func(s strictyaml.Value) { r.frame(s, l, it.Frame) })
	kind(it.Rosette != nil, "rosette", func(s strictyaml.Value) {
		o := it.Rosette
		r.alpha(s, o.Alpha)
		r.width(s, "width", o.Width)
		if !r.inside(l, o.Center, 2) || !between(o.Outer, 1, 500) || !between(o.Inner, 0, o.Outer) || !between(float64(o.Petals), 2, 60) || !between(float64(o.Strands), 1, 40) {
			s.Fault("a rosette has a center on the page, radii outer and inner, 2 to 60 petals and 1 to 40 strands")
		}
	})
	kind(it.Repeat != nil, "repeat", func(s strictyaml.Value) { r.repeat(s, l, it.Repeat, deep) })
	kind(it.QR != nil, "qr", func(s strictyaml.Value) {
		r.box(s, l, "box", it.QR.Box)
		if len(it.QR.Box) == 4 && min(it.QR.Box[2], it.QR.Box[3]) < 10 {
			s.At("box").Fault("a QR code smaller than 10 mm cannot be read")
		}
	})
	kind(it.Seal != nil, "seal", func(s strictyaml.Value) { r.box(s, l, "box", it.Seal.Box) })
	if kinds != 1 {
		s.Fault("an item is one of text, field, line, rect, shape, waves, frame, rosette, repeat, qr and seal")
	}
}

func (r *reading) field(s strictyaml.Value, l *Layout, f *fieldItem, deep int) {
	r.box(s, l, "box", f.Box)
	r.look(s, l, "style", f.Style, "look", f.Look)
	if f.Label != "" {
		r.box(s, l, "label_box", f.LabelBox)
		r.look(s, l, "", "", "label_look", f.LabelLook)
		r.glyphs(s.At("label"), l.style("label", "label", f.LabelLook).Font, f.Label)
	}
	if f.Missing != "" && f.Missing != "blank" && f.Missing != "drop" {
		s.At("missing").Fault("missing is blank or drop")
	}
	if f.Holder < 0 || f.Holder > maxHolders || f.Holder > 0 && deep > 0 {
		s.At("holder").Fault("holder is counted from 1, and not given within repeat")
	}
	list, err := pieces(f.Value)
	if err != nil {
		s.At("value").Fault("%s", err)
		return
	}
	for _, p := range list {
		if p.path == "" {
			r.glyphs(s.At("value"), l.style(f.Style, "value", f.Look).Font, p.text)
			continue
		}
		if r.config.Knows != nil && !r.config.Knows(l.Type, p.path) {
			s.At("value").Fault("type %q has no field %q", l.Type, fault.Clip(p.path))
		}
		if _, listed := l.Codes[p.format]; !listed && !slices.Contains(formats, p.format) {
			s.At("value").Fault("there is no format or code list %q; formats are date, money and capital", fault.Clip(p.format))
		}
	}
}

func (r *reading) frame(s strictyaml.Value, l *Layout, f *frameItem) {
	r.box(s, l, "box", f.Box)
	r.width(s, "width", f.Width)
	if f.Rule != 0 {
		r.width(s, "rule", f.Rule)
	}
	if f.Corner != "" {
		r.known(s.At("corner"), f.Corner)
	}
	if !between(f.Band, 0.5, 60) || !between(float64(f.Strands), 1, 40) || !between(f.Length, 1, 200) || !between(f.Reach, 0, 100) {
		s.Fault("a frame has a band of 0.5 to 60 mm, 1 to 40 strands, a length of 1 to 200 mm and a reach of at most 100 mm")
	} else if len(f.Box) == 4 && min(f.Box[2], f.Box[3]) < 2*max(f.Band, f.reach()) {
		s.At("box").Fault("the box is too small for the band of its frame")
	}
}

func (r *reading) repeat(s strictyaml.Value, l *Layout, rep *repeatItem, deep int) {
	if deep > 0 {
		s.Fault("a repeat stands in no other repeat")
		return
	}
	if !between(float64(rep.Holders), 1, maxHolders) || len(rep.Step) != 2 || !finite(rep.Step) {
		s.Fault("a repeat has 1 to %d holders and a step [across, down]", maxHolders)
		return
	}
	if len(rep.Items) == 0 || len(rep.Items) > maxItems {
		s.Fault("a repeat has 1 to %d items", maxItems)
		return
	}
	nodes := s.At("items").List()
	for i, it := range rep.Items {
		if i >= len(nodes) {
			break
		}
		if it.Seal != nil || it.QR != nil || it.Frame != nil {
			nodes[i].Fault("a seal, a QR code or a frame is not repeated")
			continue
		}
		r.item(nodes[i], l, it, deep+1)
		last := float64(rep.Holders - 1)
		if box := it.extent(); box != nil && r.inside(l, box, 4) && !r.inside(l, []float64{box[0] + last*rep.Step[0], box[1] + last*rep.Step[1], box[2], box[3]}, 4) {
			nodes[i].Fault("the last repetition does not lie on the page")
		}
	}
}

// extent is the bounding box of a repeated group.
func (it item) extent() []float64 {
	switch {
	case it.Text != nil:
		return it.Text.Box
	case it.Field != nil:
		return it.Field.Box
	case it.Rect != nil:
		return it.Rect.Box
	case it.Shape != nil:
		return it.Shape.Box
	case it.Waves != nil:
		return it.Waves.Box
	}
	return nil
}

// box checks a box [x, y, width, height] that lies on the page.
func (r *reading) box(s strictyaml.Value, l *Layout, key string, box []float64) {
	if !r.inside(l, box, 4) || box[2] <= 0 || box[3] <= 0 {
		s.At(key).Fault("%s is [x, y, width, height] on the page", key)
	}
}

// inside reports whether a point (n = 2) or box (n = 4) lies on the page.
func (r *reading) inside(l *Layout, at []float64, n int) bool {
	if len(at) != n || !finite(at) {
		return false
	}
	w, h := l.Page.size()
	x, y := at[0], at[1]
	if n == 4 {
		x, y = x+at[2], y+at[3]
	}
	const rounding = 1e-6
	return at[0] >= 0 && at[1] >= 0 && x <= w+rounding && y <= h+rounding
}

func (r *reading) width(s strictyaml.Value, key string, width float64) {
	if !between(width, 0.01, 50) {
		s.At(key).Fault("%s lies between 0.01 and 50 mm", key)
	}
}

func (r *reading) alpha(s strictyaml.Value, alpha float64) {
	if !between(alpha, 0, 1) {
		s.At("alpha").Fault("alpha lies between 0 and 1")
	}
}

func (r *reading) known(s strictyaml.Value, shape string) {
	if _, ok := r.shapes[shape]; !ok {
		s.Fault("there is no shape %q", fault.Clip(shape))
	}
}

// look checks a named style and an item's differences from it.
func (r *reading) look(s strictyaml.Value, l *Layout, nameKey, name, lookKey string, look style) {
	if _, ok := l.Styles[name]; name != "" && !ok {
		s.At(nameKey).Fault("there is no style %q", fault.Clip(name))
	}
	r.style(s.At(lookKey), look)
}

// glyphs checks that a fixed text can be drawn, so that a layout which loads never fails for its own texts.
func (r *reading) glyphs(s strictyaml.Value, font, text string) {
	if !r.faces.has(font) {
		return
	}
	p := newPen(r.faces)
	if _, err := p.write(font, "", 0, text); err != nil {
		s.Fault("%s", err)
	}
}

// readPath reads an outline in the letters of SVG: M x y, L x y, C x y x y x y, Z, all absolute. The reason says why it cannot.
func readPath(text string) (segments []Segment, reason string) {
	words := strings.FieldsFunc(spaced.Replace(text), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' || r == '\r' })
	for i := 0; i < len(words); {
		if len(words[i]) != 1 || !strings.Contains("MLCZ", words[i]) {
			return nil, fmt.Sprintf("a path is made of M, L, C and Z, not %q", fault.Clip(words[i]))
		}
		s := Segment{Op: words[i][0]}
		i++
		numbers := make([]float64, 0, 6)
		for range 2 * s.count() {
			if i >= len(words) {
				return nil, "a path ends in the middle"
			}
			n, err := strconv.ParseFloat(words[i], 64)
			if err != nil || !finite([]float64{n}) {
				return nil, fmt.Sprintf("a path has %d numbers after %c", 2*s.count(), s.Op)
			}
			numbers, i = append(numbers, n), i+1
		}
		for k := range s.count() {
			s.Points[k] = [2]float64{numbers[2*k], numbers[2*k+1]}
		}
		segments = append(segments, s)
	}
	if len(segments) == 0 || segments[0].Op != 'M' {
		return nil, "a path begins with M"
	}
	return segments, ""
}

var spaced = strings.NewReplacer("M", " M ", "L", " L ", "C", " C ", "Z", " Z ")
