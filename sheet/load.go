package sheet

import (
	"oncegate/fault"
	"oncegate/strictyaml"
)

// Bounds of Load's input.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxItems = 500     // of one layout
)

var limits = strictyaml.Limits{Bytes: maxFile, Depth: 32, Values: 1 << 19, NoAliases: true}

// A File is a layout file: a YAML mapping with the keys "layouts" and "shapes".
type File struct {
	Path string // for faults
	Data []byte
}

// Config is the input of Load.
type Config struct {
	Files []File
	Fonts []FontFile // looked in for characters that the font of a layout lacks, in this order, before those of the program

	// Knows reports whether a license type has a field of that name, so that a misspelt one is a fault; nil knows everything.
	Knows func(licenseType, field string) bool
}

// Layouts are the layouts of a city. They are safe for concurrent use.
type Layouts struct{ byType map[string]*Layout }

// For returns the layout of a license type.
func (l *Layouts) For(licenseType string) (*Layout, bool) {
	layout, ok := l.byType[licenseType]
	return layout, ok
}

// Load reads layouts strictly. All faults come at once, in the order of the files; the layouts are nil if there is any. A fault of a font
// has the font's name for its place.
func Load(c Config) (*Layouts, fault.List) {
	r := &reading{config: c, shapes: map[string]shape{}, layouts: map[string]*Layout{}}
	r.faces = openFaces(c.Fonts, &r.faults)
	for _, file := range c.Files {
		r.file(file)
	}
	for _, check := range r.later { // shapes may stand in any file
		check()
	}
	if len(r.faults) > 0 {
		return nil, r.faults.Sorted()
	}
	return &Layouts{byType: r.layouts}, nil
}

// A reading collects layouts, shapes and faults of all files.
type reading struct {
	config  Config
	faces   *faces
	shapes  map[string]shape
	layouts map[string]*Layout
	faults  fault.List
	later   []func()
}

// file reads one file. Every layout, item and shape is decoded by itself, so that one file gives all its faults.
func (r *reading) file(f File) {
	root := strictyaml.Parse(f.Path, f.Data, limits, &r.faults).Root()
	if root.IsNull() {
		root.Fault("a layout file is a mapping with the keys layouts and shapes")
	}
	for _, e := range root.Entries() {
		switch e.Key {
		case "layouts":
			for _, v := range e.Value.List() {
				r.layout(v)
			}
		case "shapes":
			for _, shape := range e.Value.Entries() {
				r.shape(shape.Key, shape.Value)
			}
		default:
			e.Name.Fault("unknown key %q; a layout file has layouts and shapes", fault.Clip(e.Key))
		}
	}
}
