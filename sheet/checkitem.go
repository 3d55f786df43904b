package sheet

import "slices"

// item checks one item. Deep says how many repeats it stands in.
func (r *reading) item(s spot, l *Layout, it item, deep int) {
	kinds := 0
	kind := func(set bool, key string, check func(spot)) {
		if set {
			kinds++
			check(s.at(key))
		}
	}
	kind(it.Text != nil, "text", func(s spot) {
		r.box(s, l, "box", it.Text.Box)
		r.look(s, l, "style", it.Text.Style, "look", it.Text.Look)
		if it.Text.Text == "" {
			r.fault(s, "a text item has a text")
		}
		if it.Text.Only != "" && it.Text.Only != "original" && it.Text.Only != "copy" {
			r.fault(s.at("only"), "only is original or copy")
		}
		r.glyphs(s.at("text"), l.style(it.Text.Style, "text", it.Text.Look).Font, it.Text.Text)
	})
	kind(it.Field != nil, "field", func(s spot) { r.field(s, l, it.Field, deep) })
	kind(it.Line != nil, "line", func(s spot) {
		if !r.inside(l, it.Line.From, 2) || !r.inside(l, it.Line.To, 2) {
			r.fault(s, "a line goes from [x, y] to [x, y] on the page")
		}
		r.width(s, "width", it.Line.Width)
	})
	kind(it.Rect != nil, "rect", func(s spot) {
		r.box(s, l, "box", it.Rect.Box)
		r.alpha(s, it.Rect.Alpha)
		if it.Rect.Stroke != nil {
			r.width(s, "width", it.Rect.Width)
		}
		if it.Rect.Stroke == nil && it.Rect.Fill == nil {
			r.fault(s, "a rectangle is filled or stroked")
		}
		if len(it.Rect.Box) == 4 && !between(it.Rect.Radius, 0, min(it.Rect.Box[2], it.Rect.Box[3])/2) {
			r.fault(s.at("radius"), "the radius is at most half of the shorter side")
		}
	})
	kind(it.Shape != nil, "shape", func(s spot) {
		r.box(s, l, "box", it.Shape.Box)
		r.alpha(s, it.Shape.Alpha)
		r.known(s.at("name"), it.Shape.Name)
		if !between(it.Shape.Turn, -360, 360) {
			r.fault(s.at("turn"), "turn lies between -360 and 360 degrees")
		}
	})
	kind(it.Waves != nil, "waves", func(s spot) {
		w := it.Waves
		r.box(s, l, "box", w.Box)
		r.alpha(s, w.Alpha)
		r.width(s, "width", w.Width)
		if !between(float64(w.Strands), 1, 400) || !between(w.Length, 1, 500) || !between(w.Height, 0, 100) || !between(w.Drift, -1, 1) {
			r.fault(s, "waves have 1 to 400 strands, a length of 1 to 500 mm, a height of 0 to 100 mm and a drift of -1 to 1")
		}
	})
	kind(it.Frame != nil, "frame", func(s spot) { r.frame(s, l, it.Frame) })
	kind(it.Rosette != nil, "rosette", func(s spot) {
		o := it.Rosette
		r.alpha(s, o.Alpha)
		r.width(s, "width", o.Width)
		if !r.inside(l, o.Center, 2) || !between(o.Outer, 1, 500) || !between(o.Inner, 0, o.Outer) || !between(float64(o.Petals), 2, 60) || !between(float64(o.Strands), 1, 40) {
			r.fault(s, "a rosette has a center on the page, radii outer and inner, 2 to 60 petals and 1 to 40 strands")
		}
	})
	kind(it.Repeat != nil, "repeat", func(s spot) { r.repeat(s, l, it.Repeat, deep) })
	kind(it.QR != nil, "qr", func(s spot) {
		r.box(s, l, "box", it.QR.Box)
		if len(it.QR.Box) == 4 && min(it.QR.Box[2], it.QR.Box[3]) < 10 {
			r.fault(s.at("box"), "a QR code smaller than 10 mm cannot be read")
		}
	})
	kind(it.Seal != nil, "seal", func(s spot) { r.box(s, l, "box", it.Seal.Box) })
	if kinds != 1 {
		r.fault(s, "an item is one of text, field, line, rect, shape, waves, frame, rosette, repeat, qr and seal")
	}
}

func (r *reading) field(s spot, l *Layout, f *fieldItem, deep int) {
	r.box(s, l, "box", f.Box)
	r.look(s, l, "style", f.Style, "look", f.Look)
	if f.Label != "" {
		r.box(s, l, "label_box", f.LabelBox)
		r.look(s, l, "", "", "label_look", f.LabelLook)
		r.glyphs(s.at("label"), l.style("label", "label", f.LabelLook).Font, f.Label)
	}
	if f.Missing != "" && f.Missing != "blank" && f.Missing != "drop" {
		r.fault(s.at("missing"), "missing is blank or drop")
	}
	if f.Holder < 0 || f.Holder > maxHolders || f.Holder > 0 && deep > 0 {
		r.fault(s.at("holder"), "holder is counted from 1, and not given within repeat")
	}
	list, err := pieces(f.Value)
	if err != nil {
		r.fault(s.at("value"), "%s", err)
		return
	}
	for _, p := range list {
		if p.path == "" {
			r.glyphs(s.at("value"), l.style(f.Style, "value", f.Look).Font, p.text)
			continue
		}
		if r.config.Knows != nil && !r.config.Knows(l.Type, p.path) {
			r.fault(s.at("value"), "type %q has no field %q", l.Type, clip(p.path))
		}
		if _, listed := l.Codes[p.format]; !listed && !slices.Contains(formats, p.format) {
			r.fault(s.at("value"), "there is no format or code list %q; formats are date, money and capital", clip(p.format))
		}
	}
}

func (r *reading) frame(s spot, l *Layout, f *frameItem) {
	r.box(s, l, "box", f.Box)
	r.width(s, "width", f.Width)
	if f.Rule != 0 {
		r.width(s, "rule", f.Rule)
	}
	if f.Corner != "" {
		r.known(s.at("corner"), f.Corner)
	}
	if !between(f.Band, 0.5, 60) || !between(float64(f.Strands), 1, 40) || !between(f.Length, 1, 200) || !between(f.Reach, 0, 100) {
		r.fault(s, "a frame has a band of 0.5 to 60 mm, 1 to 40 strands, a length of 1 to 200 mm and a reach of at most 100 mm")
	} else if len(f.Box) == 4 && min(f.Box[2], f.Box[3]) < 2*max(f.Band, f.reach()) {
		r.fault(s.at("box"), "the box is too small for the band of its frame")
	}
}

func (r *reading) repeat(s spot, l *Layout, rep *repeatItem, deep int) {
	if deep > 0 {
		r.fault(s, "a repeat stands in no other repeat")
		return
	}
	if !between(float64(rep.Holders), 1, maxHolders) || len(rep.Step) != 2 || !finite(rep.Step) {
		r.fault(s, "a repeat has 1 to %d holders and a step [across, down]", maxHolders)
		return
	}
	if len(rep.Items) == 0 || len(rep.Items) > maxItems {
		r.fault(s, "a repeat has 1 to %d items", maxItems)
		return
	}
	nodes := r.list(s.at("items"))
	for i, it := range rep.Items {
		if i >= len(nodes) {
			break
		}
		if it.Seal != nil || it.QR != nil || it.Frame != nil {
			r.fault(nodes[i], "a seal, a QR code or a frame is not repeated")
			continue
		}
		r.item(nodes[i], l, it, deep+1)
		last := float64(rep.Holders - 1)
		if box := it.extent(); box != nil && r.inside(l, box, 4) && !r.inside(l, []float64{box[0] + last*rep.Step[0], box[1] + last*rep.Step[1], box[2], box[3]}, 4) {
			r.fault(nodes[i], "the last repetition does not lie on the page")
		}
	}
}

// extent is the box of what can be repeated.
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
func (r *reading) box(s spot, l *Layout, key string, box []float64) {
	if !r.inside(l, box, 4) || box[2] <= 0 || box[3] <= 0 {
		r.fault(s.at(key), "%s is [x, y, width, height] on the page", key)
	}
}

// inside says whether a point (n = 2) or box (n = 4) lies on the page.
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

func (r *reading) width(s spot, key string, width float64) {
	if !between(width, 0.01, 50) {
		r.fault(s.at(key), "%s lies between 0.01 and 50 mm", key)
	}
}

func (r *reading) alpha(s spot, alpha float64) {
	if !between(alpha, 0, 1) {
		r.fault(s.at("alpha"), "alpha lies between 0 and 1")
	}
}

func (r *reading) known(s spot, shape string) {
	if _, ok := r.shapes[shape]; !ok {
		r.fault(s, "there is no shape %q", clip(shape))
	}
}

// look checks a named style and what differs from it.
func (r *reading) look(s spot, l *Layout, nameKey, name, lookKey string, look style) {
	if _, ok := l.Styles[name]; name != "" && !ok {
		r.fault(s.at(nameKey), "there is no style %q", clip(name))
	}
	r.style(s.at(lookKey), look)
}

// glyphs checks that a fixed text can be drawn, so that a layout which loads never fails for what stands in it.
func (r *reading) glyphs(s spot, font, text string) {
	if !r.faces.has(font) {
		return
	}
	p := newPen(r.faces)
	if _, err := p.write(font, "", 0, text); err != nil {
		r.fault(s, "%s", err)
	}
}
