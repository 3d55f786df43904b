package attack

import (
	"encoding/base64"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/simplifiedchinese"

	"oncegate/demo/legacy"
)

// A scanner looks for people in any bytes: their numbers and names in UTF-8, GB18030 and UTF-16, their numbers in base64 too.
type scanner map[int]map[string]string // by length: what to find, and what it is

func newScanner(t testing.TB, people []legacy.Person) scanner {
	t.Helper()
	s := scanner{}
	for _, p := range people {
		s.add(p.Code, "a number")
		s.add(p.Name, "a name")
		for _, text := range []string{p.Code, p.Name} {
			gb, err := simplifiedchinese.GB18030.NewEncoder().String(text)
			if err != nil {
				t.Fatal(err)
			}
			s.add(gb, "GB18030")
			var le, be []byte
			for _, u := range utf16.Encode([]rune(text)) {
				le, be = append(le, byte(u), byte(u>>8)), append(be, byte(u>>8), byte(u))
			}
			s.add(string(le), "UTF-16")
			s.add(string(be), "UTF-16")
		}
		for from := range 3 { // wherever it stands in what was encoded
			s.add(base64.StdEncoding.EncodeToString([]byte(p.Code[from:from+15])), "base64")
		}
	}
	return s
}

func (s scanner) add(text, what string) {
	if s[len(text)] == nil {
		s[len(text)] = map[string]string{}
	}
	if _, known := s[len(text)][text]; !known {
		s[len(text)][text] = what
	}
}

// find returns the encoding in which data contains a value, "" if it contains none.
func (s scanner) find(data []byte) (what string) {
	for n, texts := range s {
		for i := 0; i+n <= len(data); i++ {
			if w, found := texts[string(data[i:i+n])]; found {
				return w + " of somebody, near " + string(data[max(0, i-60):i]) + "…"
			}
		}
	}
	return ""
}

// clean reports personal data found where there must be none.
func (s scanner) clean(t testing.TB, name string, data []byte) {
	t.Helper()
	if what := s.find(data); what != "" {
		t.Errorf("%s holds %s", name, what)
	}
}

// folder looks through every file of a folder, and returns how many bytes that were.
func (s scanner) folder(t testing.TB, dir string) (total int) {
	t.Helper()
	for name, data := range files(t, dir) {
		rel, _ := filepath.Rel(dir, name)
		s.clean(t, rel, data)
		total += len(data)
	}
	return total
}
