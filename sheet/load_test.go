package sheet

import (
	"os"
	"strings"
	"testing"

	"oncegate/license"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// Every type of the sample city's catalogue has a layout, and every layout draws only fields of its type's dictionary.
func TestLayoutsFollowTheCatalogue(t *testing.T) {
	text, err := os.ReadFile("../deploy/city/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var catalogue license.Catalogue
	if err := yaml.UnmarshalWithOptions(text, &catalogue, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	layouts, faults := Load(Config{Files: cityFiles(t), Knows: func(typ, field string) bool {
		known, ok := catalogue.Type(typ)
		if !ok {
			return true // a layout that stands ready for a type that the city does not issue yet
		}
		_, ok = known.Field(field)
		return ok
	}})
	for _, f := range faults {
		t.Errorf("%s", f)
	}
	if layouts == nil {
		return
	}
	for _, typ := range catalogue.Types {
		layout, ok := layouts.For(typ.ID)
		if !ok {
			t.Errorf("%s has no layout", typ.ID)
			continue
		}
		shows := " " + strings.Join(layout.Shows(), " ") + " "
		for _, field := range append(typ.Fields, license.Field{Name: license.FieldHolderName, Required: true}, license.Field{Name: license.FieldNumber, Required: true}) {
			if field.Required && !strings.Contains(shows, " "+field.Name+" ") {
				t.Errorf("%s has no place for %s, which every license of that type states", typ.ID, field.Name)
			}
		}
	}
}

// One file gives all its faults at once, each with its place.
func TestFaults(t *testing.T) {
	const text = `shapes:
  star: {size: [10, 10], parts: [{path: M 0 0 Q 1 1, fill: "#FF0000"}, {circle: [1, 1, 0], fill: "#FF0000"}]}
  Bad Name: {size: [1, 1], parts: [{path: M 0 0 L 1 1, stroke: "#FF0000", width: 1}]}
layouts:
  - type: Wrong Type
    title: ""
    page: {size: A9}
    styles:
      value: {font: times, size: 1, min: 300, align: justify}
    colour: red
    items:
      - text: {box: [1, 1, 10, 10], text: x}
  - type: good
    title: 好
    page: {size: A4}
    items:
      - text: {box: [1, 1, 300, 10], text: x}
      - text: {box: [1, 1, .nan, 10], text: x}
      - text: {box: [1, 1, 30, 10], text: "\u202e"}
      - text: {box: [1, 1, 30, 10], txt: x}
      - field: {box: [1, 1, 30, 10], value: "{nowhere}", missing: hide}
      - field: {box: [1, 1, 30, 10], value: "no field", style: grand}
      - field: {box: [1, 1, 30, 10], value: "{name:roman}", label: 名称}
      - shape: {name: moon, box: [1, 1, 10, 10]}
      - rect: {box: [1, 1, 10, 10], radius: 20, alpha: 2}
      - line: {from: [1, 1], to: [1], width: 0}
      - qr: {box: [1, 1, 2, 2]}
      - seal: {box: [1, 1, 2, 2]}
        qr: {box: [1, 1, 20, 20]}
      - waves: {box: [1, 1, 20, 20], strands: 100000, length: 5, width: 0.1}
      - frame: {box: [1, 1, 20, 20], band: 30, strands: 3, length: 5, width: 0.1}
      - rosette: {center: [50, 50], outer: 10, inner: 20, petals: 3, strands: 2, width: 0.1}
      - repeat: {holders: 9, step: [0, 60], items: [{text: {box: [1, 1, 30, 10], text: x}}, {seal: {box: [1, 1, 2, 2]}}]}
      - rect: {box: [1, 1, 10, 10], fill: red}
      - {}
  - type: good
    title: 再
    page: {size: A4, box: [100, 100]}
more: 1
`
	_, faults := Load(Config{Files: []File{{"a.yaml", []byte(text)}}, Knows: func(_, field string) bool { return field == "name" }})
	var got []string
	for _, f := range faults {
		if f.Reason == "" {
			t.Errorf("%s: a fault without a reason", f.Place)
		}
		got = append(got, strings.TrimPrefix(f.Place.String(), "a.yaml:"))
	}
	want := strings.Fields(`2:33 2:33 3:14 5:11 6:12 7:12 9:21 9:34 9:42 9:42 9:54 10:13 12:21 17:21 18:21 19:43 20:37 21:45 21:67 22:45 22:64
		23:17 23:45 24:23 25:16 25:45 25:56 26:16 26:46 27:19 28:9 30:17 31:22 32:19 33:54 33:94 34:43 35:9 36:11 38:12 39:1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s\n%v", diff, faults)
	}
}

// What cannot be a layout file is one fault, and no parser sees it.
func TestUnreadable(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not UTF-8": "layouts: \xff", "too large": strings.Repeat("#", maxFile+1), "too deep": strings.Repeat("[", 100),
		"indicators": strings.Repeat("- ", 500), "two documents": "shapes: {}\n---\nshapes: {}\n", "a list": "- 1\n", "not YAML": "a: b: c: [", "aliases": "shapes: {a: &x {size: [1, 1]}, b: *x}",
	} {
		if _, faults := Load(Config{Files: []File{{"a.yaml", []byte(text)}}}); len(faults) == 0 {
			t.Errorf("%s: no fault", name)
		} else if !strings.HasPrefix(faults[0].Place.String(), "a.yaml:") {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
