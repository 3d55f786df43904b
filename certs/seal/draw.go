package seal

// A Drawing says how a round seal (圆章) looks: a red ring, a five-pointed star, the name on an arc above it.
type Drawing struct {
	Name     string  // on the arc
	Line     string  // below the star, such as "证照专用章"; empty for none
	Font     []byte  // TrueType or OpenType; of a collection the first font
	Diameter float64 // mm; zero means 40
	DPI      float64 // zero means 300
}

// Draw draws a round seal as a PNG with transparent background. A character without a glyph in the font is ErrGlyph.
func Draw(d Drawing) (Picture, error) { return Picture{}, ErrPicture }
