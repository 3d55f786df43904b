package sheet

// A Layout is the page template of one license type. It is data: a city changes its pages without code. Lengths are
// millimetres from the top left corner, sizes of type are points. [Load] makes layouts.
type Layout struct {
	Type   string                       `yaml:"type"`   // catalogue id of the license type
	Title  string                       `yaml:"title"`  // 营业执照
	Page   paper                        `yaml:"page"`   //
	Styles map[string]style             `yaml:"styles"` // by name; "text", "label" and "value" are what items use that name none
	Codes  map[string]map[string]string `yaml:"codes"`  // lists that turn a code into its text, by the name that a pattern uses
	Items  []item                       `yaml:"items"`  // drawn in order, later ones over earlier ones

	faces  *faces
	shapes map[string]shape
}

// A paper is the size of a page.
type paper struct {
	Size      string    `yaml:"size"`      // a name in paperSizes, or
	Box       []float64 `yaml:"box"`       // width and height
	Landscape bool      `yaml:"landscape"` // the longer side lies across
}

var paperSizes = map[string][2]float64{
	"A3": {297, 420}, "A4": {210, 297}, "A5": {148, 210}, "B5": {176, 250}, "ID-1": {53.98, 85.6},
}

// size returns width and height.
func (p paper) size() (w, h float64) {
	if len(p.Box) == 2 {
		return p.Box[0], p.Box[1]
	}
	s := paperSizes[p.Size]
	if p.Landscape {
		return s[1], s[0]
	}
	return s[0], s[1]
}

// A style is how text looks. What is zero comes from the style it is based on.
type style struct {
	Font    string  `yaml:"font"`    // "song", "hei" or a font of the configuration
	Size    float64 `yaml:"size"`    // points
	Min     float64 `yaml:"min"`     // the smallest size in points to which text shrinks to fit; 0: it does not shrink
	Align   string  `yaml:"align"`   // left, center, right, or spread: the characters fill the width
	VAlign  string  `yaml:"valign"`  // top, middle, bottom
	Leading float64 `yaml:"leading"` // from line to line, in sizes
	Spacing float64 `yaml:"spacing"` // between characters, in sizes
	Bold    float64 `yaml:"bold"`    // a line round the glyphs that makes them bolder, in sizes
	Color   *Color  `yaml:"color"`   // "#RRGGBB"
	Lines   int     `yaml:"lines"`   // the most lines; 0: as many as fit
}

// over returns s where it is set, else base.
func (s style) over(base style) style {
	pick(&s.Font, base.Font)
	pick(&s.Size, base.Size)
	pick(&s.Min, base.Min)
	pick(&s.Align, base.Align)
	pick(&s.VAlign, base.VAlign)
	pick(&s.Leading, base.Leading)
	pick(&s.Spacing, base.Spacing)
	pick(&s.Bold, base.Bold)
	pick(&s.Color, base.Color)
	pick(&s.Lines, base.Lines)
	return s
}

func pick[T comparable](mine *T, base T) {
	var zero T
	if *mine == zero {
		*mine = base
	}
}

// plain is the default style.
var plain = style{Font: Song, Size: 12, Align: "left", VAlign: "middle", Leading: 1.35, Color: &Color{0, 0, 0}}

// An item is one thing on the page: exactly one of its fields is set.
type item struct {
	Text    *textItem    `yaml:"text"`
	Field   *fieldItem   `yaml:"field"`
	Line    *lineItem    `yaml:"line"`
	Rect    *rectItem    `yaml:"rect"`
	Shape   *shapeItem   `yaml:"shape"`
	Waves   *wavesItem   `yaml:"waves"`
	Frame   *frameItem   `yaml:"frame"`
	Rosette *rosetteItem `yaml:"rosette"`
	Repeat  *repeatItem  `yaml:"repeat"`
	QR      *qrItem      `yaml:"qr"`
	Seal    *sealItem    `yaml:"seal"`
}

// A textItem is a fixed text.
type textItem struct {
	Box   []float64 `yaml:"box"`   // x, y, width, height
	Text  string    `yaml:"text"`  //
	Only  string    `yaml:"only"`  // "original" or "copy": on which kind of page it stands; empty: on both
	Style string    `yaml:"style"` // name of a style; empty: "text"
	Look  style     `yaml:"look"`  // what differs from that style
}

// A fieldItem is a field of the license with its label.
type fieldItem struct {
	Box       []float64 `yaml:"box"`        // of the value
	Value     string    `yaml:"value"`      // pattern such as "{holder_name}" or "{valid_from:date} 至 {valid_to:date}"
	Holder    int       `yaml:"holder"`     // draws the value of one holder, counted from 1; 0: those of all, joined
	Join      string    `yaml:"join"`       // between the values of several holders; empty: 、
	Style     string    `yaml:"style"`      // empty: "value"
	Look      style     `yaml:"look"`       //
	Label     string    `yaml:"label"`      //
	LabelBox  []float64 `yaml:"label_box"`  //
	LabelLook style     `yaml:"label_look"` // what differs from the style "label"
	Missing   string    `yaml:"missing"`    // when the license does not say it: "blank" leaves the label (the default), "drop" leaves it out; what was not granted is noted either way
}

type lineItem struct {
	From  []float64 `yaml:"from"`
	To    []float64 `yaml:"to"`
	Color Color     `yaml:"color"`
	Width float64   `yaml:"width"`
}

type rectItem struct {
	Box    []float64 `yaml:"box"`
	Fill   *Color    `yaml:"fill"`
	Stroke *Color    `yaml:"stroke"`
	Width  float64   `yaml:"width"`
	Radius float64   `yaml:"radius"` // of the corners
	Alpha  float64   `yaml:"alpha"`  // 0: 1
}

// A shapeItem draws a shape of the library.
type shapeItem struct {
	Name  string    `yaml:"name"`
	Box   []float64 `yaml:"box"`   // the shape is stretched over it
	Turn  float64   `yaml:"turn"`  // degrees clockwise about the middle of the box
	Alpha float64   `yaml:"alpha"` // 0: 1
}

// A wavesItem fills a box with fine waves (底纹).
type wavesItem struct {
	Box     []float64 `yaml:"box"`
	Strands int       `yaml:"strands"` // how many lines
	Length  float64   `yaml:"length"`  // of one wave
	Height  float64   `yaml:"height"`  // from crest to trough
	Drift   float64   `yaml:"drift"`   // by which part of a wave each strand is shifted against the one above
	Color   Color     `yaml:"color"`
	Width   float64   `yaml:"width"`
	Alpha   float64   `yaml:"alpha"` // 0: 1
}

// A frameItem is a border of plaited waves (花边) with a rule on both sides and, if named, a shape on each corner.
type frameItem struct {
	Box     []float64 `yaml:"box"`     // outer edge
	Band    float64   `yaml:"band"`    // breadth of the border
	Strands int       `yaml:"strands"` //
	Length  float64   `yaml:"length"`  // of one wave, rounded so that every side has whole ones
	Corner  string    `yaml:"corner"`  // a shape, drawn for the top left corner and turned for the others
	Reach   float64   `yaml:"reach"`   // size of the corner shape; 0: twice the band
	Fill    *Color    `yaml:"fill"`    // under the waves
	Color   Color     `yaml:"color"`
	Width   float64   `yaml:"width"`
	Rule    float64   `yaml:"rule"` // width of the rules
}

// A rosetteItem is a ring of plaited waves (团花).
type rosetteItem struct {
	Center  []float64 `yaml:"center"`
	Outer   float64   `yaml:"outer"` // radius
	Inner   float64   `yaml:"inner"` // radius
	Petals  int       `yaml:"petals"`
	Strands int       `yaml:"strands"`
	Color   Color     `yaml:"color"`
	Width   float64   `yaml:"width"`
	Alpha   float64   `yaml:"alpha"` // 0: 1
}

// A repeatItem draws its items once for each holder, moved by a step each time; fields in it draw that holder's value.
type repeatItem struct {
	Holders int       `yaml:"holders"` // places; more holders than places is an error
	Step    []float64 `yaml:"step"`    // across and down
	Items   []item    `yaml:"items"`
}

// A qrItem is the place of the QR code.
type qrItem struct {
	Box   []float64 `yaml:"box"` // of the code with its quiet zone of four modules
	Color Color     `yaml:"color"`
}

// A sealItem is where the seal is stamped.
type sealItem struct {
	Box []float64 `yaml:"box"`
}

// A shape is a drawing of the library, such as an emblem.
type shape struct {
	Size  []float64 `yaml:"size"` // width and height of the drawing, in its own unit
	Parts []part    `yaml:"parts"`
}

// A part of a shape is an outline: a path in the letters of SVG (M L C Z, absolute) or a circle.
type part struct {
	Path   string    `yaml:"path"`
	Circle []float64 `yaml:"circle"` // x, y and radius
	Fill   *Color    `yaml:"fill"`
	Stroke *Color    `yaml:"stroke"`
	Width  float64   `yaml:"width"`

	segments []Segment
}
