package sheet

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a file holds: it is a layout that can be filled and drawn, or it has faults with places.
func FuzzLoad(f *testing.F) {
	for _, file := range cityFiles(f) {
		f.Add(file.Data)
	}
	f.Add([]byte("layouts:\n  - {type: a, title: a, page: {size: A4}, items: [{text: {box: [1, 1, 9, 9], text: a}}]}\n"))
	f.Add([]byte("shapes: {a: {size: [1, 1], parts: [{circle: [0, 0, 1], fill: '#000000'}]}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		layouts, faults := Load(Config{Files: []File{{"fuzz.yaml", data}}})
		if (layouts == nil) == (len(faults) == 0) {
			t.Fatal("neither layouts nor faults")
		}
		for _, fault := range faults {
			if !strings.HasPrefix(fault.Place.String(), "fuzz.yaml:") || fault.Reason == "" {
				t.Fatalf("a fault without a place: %+v", fault)
			}
		}
		if layouts == nil {
			return
		}
		for _, layout := range layouts.byType {
			p, err := layout.Fill(Content{Values: map[string][]string{"name": {"云川"}}, QR: "x"})
			if err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatal(err)
				}
				continue
			}
			if err := SVG(io.Discard, p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Whatever the values: the page says them whole, or the error is one of ours and names the field.
func FuzzFill(f *testing.F) {
	layouts := city(f)
	for _, seed := range []string{"云川市青禾餐饮管理有限公司", "𠮷㐂", "a\u202eb", "\x00", strings.Repeat("长", 3000), "2026-11-23", "5000000", "一\n二", "％‰——……", "\xff", "e\u0301"} {
		f.Add("business-license", "holder_name", seed)
		f.Add("marriage-certificate", "sex", seed)
		f.Add("tax-clearance", "amount", seed)
	}
	f.Fuzz(func(t *testing.T, typ, field, value string) {
		layout, ok := layouts.For(typ)
		if !ok {
			return
		}
		p, err := layout.Fill(Content{Values: map[string][]string{field: {value}}})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Field != field {
				t.Fatalf("%v of %s", err, field)
			}
			return
		}
		if !utf8.ValidString(texts(p)) {
			t.Fatal("a page says what is no text")
		}
		if err := PDF(io.Discard, p); err != nil {
			t.Fatal(err)
		}
	})
}
