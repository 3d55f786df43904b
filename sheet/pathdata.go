package sheet

import (
	"fmt"
	"oncegate/fault"
	"strconv"
	"strings"
)

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
