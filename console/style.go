package console

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

//go:embed style.css
var styleSource string

// A scheme gives the names of style.css their values. Both schemes have the same names: a sheet is made of the one source and one scheme
// when the program starts, because browsers of old machines know no custom properties.
type scheme map[string]string

var (
	light = scheme{
		"ink": "#17263c", "soft": "#4d5d73", "paper": "#fff", "ground": "#f3f5f8", "rule": "#cfd8e3", "edge": "#7b8aa0", "accent": "#1d4f91", "accentdark": "#143a6d",
		"onaccent": "#fff", "tint": "#eef3fa", "seal": "#b3231c", "sealtint": "#fdf1f0", "amber": "#855300", "ambertint": "#fff7e6", "green": "#1c6a41", "focus": "#d97700",
	}
	contrast = scheme{
		"ink": "#000", "soft": "#000", "paper": "#fff", "ground": "#fff", "rule": "#000", "edge": "#000", "accent": "#00227a", "accentdark": "#000",
		"onaccent": "#fff", "tint": "#fff", "seal": "#900", "sealtint": "#fff", "amber": "#5c3900", "ambertint": "#fff", "green": "#004d25", "focus": "#000",
	}
)

// sheets are the style sheets of the two schemes, at addresses that change with their content.
type sheets struct {
	text  map[string][]byte // by name
	light string
	dark  string
}

func newSheets() (s sheets, err error) {
	s.text = make(map[string][]byte)
	if s.light, err = s.add(light); err == nil {
		s.dark, err = s.add(contrast)
	}
	return s, err
}

func (s *sheets) add(values scheme) (string, error) {
	text, err := values.fill(styleSource)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(text))
	name := "style-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10])) + ".css"
	s.text[name] = []byte(text)
	return name, nil
}

var (
	styleName    = regexp.MustCompile(`\$([a-z]+)`)
	styleComment = regexp.MustCompile(`(?s)/\*.*?\*/\s*`)
	styleSpace   = regexp.MustCompile(`\s*\n\s*`)
	styleAround  = regexp.MustCompile(`\s*([{};,])\s*|(:)\s+`) // no text in the sheet has these signs
)

// fill puts the values of a scheme in the places of their names, and leaves out comments, line breaks and other needless space.
func (c scheme) fill(source string) (string, error) {
	var unknown error
	source = styleSpace.ReplaceAllString(styleComment.ReplaceAllString(source, ""), "")
	source = styleAround.ReplaceAllString(source, "$1$2")
	out := styleName.ReplaceAllStringFunc(source, func(name string) string {
		value, ok := c[name[1:]]
		if !ok {
			unknown = fmt.Errorf("style sheet: %s has no value", name)
		}
		return value
	})
	return out, unknown
}

// path is the address of the sheet of a scheme.
func (s sheets) path(highContrast bool) string {
	if highContrast {
		return "/console/" + s.dark
	}
	return "/console/" + s.light
}

// file serves the style sheets. Their addresses never mean anything else, so browsers keep them.
func (c *Console) file(w http.ResponseWriter, r *http.Request) {
	text, ok := c.sheets.text[r.PathValue("file")]
	if !ok {
		c.visit(w, r).unknown()
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(text)
}
