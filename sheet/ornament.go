package sheet

import "math"

// ornament draws everything but text: rules, rectangles, shapes, waves, frames and rosettes.
func (l *Layout) ornament(it item, dx, dy float64) []Item {
	switch {
	case it.Line != nil:
		c := it.Line.Color
		return []Item{&Path{Segments: []Segment{
			to('M', it.Line.From[0]+dx, it.Line.From[1]+dy), to('L', it.Line.To[0]+dx, it.Line.To[1]+dy),
		}, Stroke: &c, Line: it.Line.Width, Alpha: 1}}
	case it.Rect != nil:
		r := it.Rect
		return []Item{&Path{Segments: rounded(boxAt(r.Box, dx, dy), r.Radius), Fill: r.Fill, Stroke: r.Stroke, Line: r.Width, Alpha: opaque(r.Alpha)}}
	case it.Shape != nil:
		return l.shapes[it.Shape.Name].in(boxAt(it.Shape.Box, dx, dy), it.Shape.Turn, opaque(it.Shape.Alpha))
	case it.Waves != nil:
		return []Item{it.Waves.draw(dx, dy)}
	case it.Frame != nil:
		return l.frame(it.Frame)
	case it.Rosette != nil:
		return []Item{it.Rosette.draw(dx, dy)}
	}
	return nil
}

// opaque reads an alpha that was not given as 1.
func opaque(alpha float64) float64 {
	if alpha == 0 {
		return 1
	}
	return alpha
}

func to(op byte, x, y float64) Segment { return Segment{Op: op, Points: [3][2]float64{{x, y}}} }

func rectangle(b Box) []Segment {
	return []Segment{to('M', b.X, b.Y), to('L', b.X+b.W, b.Y), to('L', b.X+b.W, b.Y+b.H), to('L', b.X, b.Y+b.H), {Op: 'Z'}}
}

// kappa places the control points of a quarter circle.
const kappa = 0.5522847498307936

// rounded is a rectangle with round corners.
func rounded(b Box, radius float64) []Segment {
	if radius == 0 {
		return rectangle(b)
	}
	x, y, r, k := b.X+b.W, b.Y+b.H, radius, radius*(1-kappa)
	return []Segment{
		to('M', b.X+r, b.Y), to('L', x-r, b.Y), {'C', [3][2]float64{{x - k, b.Y}, {x, b.Y + k}, {x, b.Y + r}}},
		to('L', x, y-r), {'C', [3][2]float64{{x, y - k}, {x - k, y}, {x - r, y}}},
		to('L', b.X+r, y), {'C', [3][2]float64{{b.X + k, y}, {b.X, y - k}, {b.X, y - r}}},
		to('L', b.X, b.Y+r), {'C', [3][2]float64{{b.X, b.Y + k}, {b.X + k, b.Y}, {b.X + r, b.Y}}}, {Op: 'Z'},
	}
}

func circle(x, y, r float64) []Segment { return rounded(Box{x - r, y - r, 2 * r, 2 * r}, r) }

// in draws a shape stretched over a box and turned about the middle of it.
func (sh shape) in(b Box, turn, alpha float64) (out []Item) {
	sx, sy := b.W/sh.Size[0], b.H/sh.Size[1]
	sin, cos := math.Sincos(turn * math.Pi / 180)
	mx, my := b.X+b.W/2, b.Y+b.H/2
	for _, p := range sh.Parts {
		path := &Path{Fill: p.Fill, Stroke: p.Stroke, Line: p.Width * math.Sqrt(sx*sy), Alpha: alpha}
		for _, s := range p.segments {
			for i, at := range s.Points {
				x, y := b.X+at[0]*sx-mx, b.Y+at[1]*sy-my
				s.Points[i] = [2]float64{mx + x*cos - y*sin, my + x*sin + y*cos}
			}
			path.Segments = append(path.Segments, s.clean())
		}
		out = append(out, path)
	}
	return out
}

// clean zeroes the points that a segment does not have.
func (s Segment) clean() Segment {
	for i := s.count(); i < 3; i++ {
		s.Points[i] = [2]float64{}
	}
	return s
}

// count is how many points a segment has.
func (s Segment) count() int {
	switch s.Op {
	case 'M', 'L':
		return 1
	case 'C':
		return 3
	}
	return 0
}

// A curve gives a point and the direction there, for t from 0 to 1.
type curve func(t float64) (at, slope [2]float64)

// trace follows a curve in n cubic pieces.
func trace(c curve, n int) []Segment {
	at, slope := c(0)
	out := []Segment{to('M', at[0], at[1])}
	h := 1 / float64(n)
	for i := range n {
		next, nextSlope := c(float64(i+1) * h)
		out = append(out, Segment{'C', [3][2]float64{
			{at[0] + slope[0]*h/3, at[1] + slope[1]*h/3},
			{next[0] - nextSlope[0]*h/3, next[1] - nextSlope[1]*h/3}, next,
		}})
		at, slope = next, nextSlope
	}
	return out
}

// piecesOfWave is how many cubic pieces draw one wave: three are indistinguishable from a sine.
const piecesOfWave = 3

// wave is a sine along a straight line: whole waves count, and phase is a part of a wave.
func wave(from, along, across [2]float64, count, phase float64) curve {
	return func(t float64) (at, slope [2]float64) {
		sin, cos := math.Sincos(2 * math.Pi * (count*t + phase))
		for i := range 2 {
			at[i] = from[i] + along[i]*t + across[i]*sin
			slope[i] = along[i] + across[i]*cos*2*math.Pi*count
		}
		return at, slope
	}
}

func (w *wavesItem) draw(dx, dy float64) Item {
	b := boxAt(w.Box, dx, dy)
	path := &Path{Stroke: &w.Color, Line: w.Width, Alpha: opaque(w.Alpha)}
	count := b.W / w.Length
	room := b.H - w.Height
	for i := range w.Strands {
		y := b.Y + w.Height/2
		if w.Strands > 1 {
			y += room * float64(i) / float64(w.Strands-1)
		}
		c := wave([2]float64{b.X, y}, [2]float64{b.W, 0}, [2]float64{0, w.Height / 2}, count, w.Drift*float64(i))
		path.Segments = append(path.Segments, trace(c, int(math.Ceil(count*piecesOfWave)))...)
	}
	return path
}

func (f *frameItem) reach() float64 {
	if f.Reach == 0 {
		return 2 * f.Band
	}
	return f.Reach
}

func (l *Layout) frame(f *frameItem) (out []Item) {
	b := boxAt(f.Box, 0, 0)
	inner := Box{b.X + f.Band, b.Y + f.Band, b.W - 2*f.Band, b.H - 2*f.Band}
	if f.Fill != nil {
		ring := append(rectangle(b), to('M', inner.X, inner.Y), to('L', inner.X, inner.Y+inner.H),
			to('L', inner.X+inner.W, inner.Y+inner.H), to('L', inner.X+inner.W, inner.Y), Segment{Op: 'Z'})
		out = append(out, &Path{Segments: ring, Fill: f.Fill, Alpha: 1})
	}
	plait := &Path{Stroke: &f.Color, Line: f.Width, Alpha: 1}
	mid, half := f.Band/2, f.Band*0.42
	for i := range f.Strands {
		phase := float64(i) / float64(f.Strands)
		for _, side := range [...]struct{ from, along, across [2]float64 }{
			{[2]float64{b.X, b.Y + mid}, [2]float64{b.W, 0}, [2]float64{0, half}},
			{[2]float64{b.X, b.Y + b.H - mid}, [2]float64{b.W, 0}, [2]float64{0, half}},
			{[2]float64{b.X + mid, b.Y}, [2]float64{0, b.H}, [2]float64{half, 0}},
			{[2]float64{b.X + b.W - mid, b.Y}, [2]float64{0, b.H}, [2]float64{half, 0}},
		} {
			count := max(1, math.Round((side.along[0]+side.along[1])/f.Length))
			plait.Segments = append(plait.Segments, trace(wave(side.from, side.along, side.across, count, phase), int(count)*piecesOfWave)...)
		}
	}
	out = append(out, plait)
	if f.Rule > 0 {
		out = append(out, &Path{Segments: append(rectangle(b), rectangle(inner)...), Stroke: &f.Color, Line: f.Rule, Alpha: 1})
	}
	if f.Corner != "" {
		r := f.reach()
		for i, at := range [...][2]float64{{b.X, b.Y}, {b.X + b.W - r, b.Y}, {b.X + b.W - r, b.Y + b.H - r}, {b.X, b.Y + b.H - r}} {
			out = append(out, l.shapes[f.Corner].in(Box{at[0], at[1], r, r}, 90*float64(i), 1)...)
		}
	}
	return out
}

func (o *rosetteItem) draw(dx, dy float64) Item {
	path := &Path{Stroke: &o.Color, Line: o.Width, Alpha: opaque(o.Alpha)}
	mid, half := (o.Outer+o.Inner)/2, (o.Outer-o.Inner)/2
	for i := range o.Strands {
		phase := 2 * math.Pi * float64(i) / float64(o.Strands)
		c := func(t float64) (at, slope [2]float64) {
			angle := 2 * math.Pi * t
			sin, cos := math.Sincos(angle)
			wave, waveSlope := math.Sincos(float64(o.Petals)*angle + phase)
			r, dr := mid+half*wave, half*float64(o.Petals)*waveSlope
			return [2]float64{o.Center[0] + dx + r*cos, o.Center[1] + dy + r*sin},
				[2]float64{2 * math.Pi * (dr*cos - r*sin), 2 * math.Pi * (dr*sin + r*cos)}
		}
		path.Segments = append(path.Segments, trace(c, 6*o.Petals)...)
		path.Segments = append(path.Segments, Segment{Op: 'Z'})
	}
	return path
}
