package sheet

import "math"

// flatten turns an outline into lines of points in pixels. Curves become as many pieces as the eye needs.
func flatten(segments []Segment, scale float64) (lines [][][2]float64) {
	var line [][2]float64
	end := func() {
		if len(line) > 1 {
			lines = append(lines, line)
		}
		line = nil
	}
	px := func(p [2]float64) [2]float64 { return [2]float64{p[0] * scale, p[1] * scale} }
	for _, s := range segments {
		switch s.Op {
		case 'M':
			end()
			line = append(line, px(s.Points[0]))
		case 'L':
			line = append(line, px(s.Points[0]))
		case 'C':
			if len(line) > 0 {
				line = bend(line, px(s.Points[0]), px(s.Points[1]), px(s.Points[2]))
			}
		case 'Z':
			if len(line) > 1 {
				first := line[0]
				line = append(line, first)
				end()
				line = [][2]float64{first}
			}
		}
	}
	end()
	return lines
}

// bend appends a cubic curve from the last point.
func bend(line [][2]float64, b, c, d [2]float64) [][2]float64 {
	a := line[len(line)-1]
	length := math.Hypot(b[0]-a[0], b[1]-a[1]) + math.Hypot(c[0]-b[0], c[1]-b[1]) + math.Hypot(d[0]-c[0], d[1]-c[1])
	n := max(2, min(64, int(math.Ceil(math.Sqrt(length)*1.5))))
	for i := 1; i <= n; i++ {
		t := float64(i) / float64(n)
		u := 1 - t
		k0, k1, k2, k3 := u*u*u, 3*u*u*t, 3*u*t*t, t*t*t
		line = append(line, [2]float64{k0*a[0] + k1*b[0] + k2*c[0] + k3*d[0], k0*a[1] + k1*b[1] + k2*c[1] + k3*d[1]})
	}
	return line
}

// stroke turns lines into the area that a round pen of a width paints along them: a strip for each piece, and a disc where
// pieces meet. All of them wind the same way, so that they add up.
func stroke(lines [][][2]float64, width float64) (area [][][2]float64) {
	half := width / 2
	for _, line := range lines {
		for i := 1; i < len(line); i++ {
			a, b := line[i-1], line[i]
			length := math.Hypot(b[0]-a[0], b[1]-a[1])
			if length == 0 {
				continue
			}
			nx, ny := (b[1]-a[1])/length*half, -(b[0]-a[0])/length*half
			area = append(area, [][2]float64{{a[0] + nx, a[1] + ny}, {b[0] + nx, b[1] + ny}, {b[0] - nx, b[1] - ny}, {a[0] - nx, a[1] - ny}})
			if i+1 < len(line) && half > 0.4 && turns(a, b, line[i+1]) {
				area = append(area, disc(b, half))
			}
		}
	}
	return area
}

// turns says whether two pieces meet at an angle that leaves a gap to be seen.
func turns(a, b, c [2]float64) bool {
	ux, uy, vx, vy := b[0]-a[0], b[1]-a[1], c[0]-b[0], c[1]-b[1]
	return math.Abs(ux*vy-uy*vx) > 0.1*math.Hypot(ux, uy)*math.Hypot(vx, vy) || ux*vx+uy*vy < 0
}

func disc(at [2]float64, radius float64) (line [][2]float64) {
	n := max(8, min(48, int(radius*4)))
	for i := range n {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		line = append(line, [2]float64{at[0] + radius*cos, at[1] + radius*sin})
	}
	return line
}
