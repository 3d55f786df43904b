package console

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"oncegate/cases"
	"oncegate/license"
)

// Bounds of what a form may bring.
const (
	maxFormField = 16 << 10 // bytes of one field
	maxFields    = 200
)

var (
	errBadForm  = errors.New("the form cannot be read")
	errTooLarge = errors.New("the form is too large")
	errNotHere  = fmt.Errorf("no such material: %w", fs.ErrNotExist)
)

// A form is what was posted.
type form struct {
	url.Values
	files map[string]upload
}

// An upload is a file that came with a form.
type upload struct {
	Name   string // of the file, as the browser says it, cut; shown, never stored
	Digest string // base64url SM3 of its bytes
	Media  string // media type of its content; "" where a window may not receive it (cases.MediaOf)
	Bytes  []byte // only where the page asked for them
}

// form takes over the form that the Gate has read, within its bounds. Of files the digests are made; keep names the one whose bytes are
// wanted, at most most.
func (v *visit) form(keep string, most int) (*form, error) {
	f := &form{Values: v.r.PostForm, files: map[string]upload{}}
	if f.Values == nil {
		return nil, errBadForm
	}
	if v.r.MultipartForm == nil {
		return f, f.check()
	}
	for name, files := range v.r.MultipartForm.File {
		if len(files) != 1 || files[0].Size == 0 {
			continue
		}
		if name == keep && files[0].Size > int64(most) {
			return nil, errTooLarge
		}
		file, err := files[0].Open()
		if err != nil {
			return nil, errBadForm
		}
		content, err := io.ReadAll(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, errBadForm
		}
		sum := v.console.NewSM3()
		_, _ = sum.Write(content)
		one := upload{Name: shortName(files[0].Filename), Digest: base64.RawURLEncoding.EncodeToString(sum.Sum(nil)), Media: cases.MediaOf(content)}
		if name == keep {
			one.Bytes = content
		}
		f.files[name] = one
	}
	return f, f.check()
}

// check finds fields that are too long. Text that is no UTF-8 becomes readable.
func (f *form) check() error {
	if len(f.Values) > maxFields {
		return errTooLarge
	}
	for name, values := range f.Values {
		for i, value := range values {
			if len(value) > maxFormField && name != "text" {
				return errTooLarge
			}
			values[i] = strings.ToValidUTF8(value, "\uFFFD")
		}
	}
	return nil
}

// text is a field as somebody at a counter means it: full-width letters, digits and spaces (全角) are plain ones, and there are none around it.
func (f *form) text(name string) string {
	return strings.TrimSpace(strings.Map(printable, width.Fold.String(f.Get(name))))
}

// code is a code as a scanner or somebody types it: without any spaces.
func (f *form) code(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, f.text(name))
}

// printable drops what cannot be seen: control characters of scanners, marks of direction, replacement characters.
func printable(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return ' '
	case !unicode.IsPrint(r) && !unicode.IsSpace(r), r == unicode.ReplacementChar:
		return -1
	}
	return r
}

func shortName(name string) string {
	if at := strings.LastIndexAny(name, `/\`); at >= 0 {
		name = name[at+1:]
	}
	runes := []rune(strings.Map(printable, strings.ToValidUTF8(name, "")))
	if len(runes) > 40 {
		runes = append(runes[:38], '…')
	}
	return string(runes)
}

var (
	onceID     = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)
	caseNumber = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) // as the API description has it
	digits17   = regexp.MustCompile(`^[0-9]{17}[0-9Xx]$`)
	uscc       = regexp.MustCompile(`^[0-9A-Za-z]{2}[0-9]{6}[0-9A-Za-z]{10}$`)
)

// Types of holder codes that are told by their form.
const (
	typeUSCC     = "001"
	typeResident = "111"
)

// looksPersonal reports whether a scanned text is a resident id number or a unified social credit code rather than the number of a case.
func looksPersonal(text string) bool { return digits17.MatchString(text) || uscc.MatchString(text) }

// holderOf reads a holder's code: a resident id number or a unified social credit code by its form, any other kind by the type that was
// chosen. The sentence says what is wrong with it; "" if nothing is.
func (v *visit) holderOf(chosen, code string) (license.HolderID, string) {
	code = license.NormalCode(code)
	h := license.HolderID{Type: chosen, Code: code}
	if chosen == "" {
		switch {
		case license.CheckResidentID(code) == nil:
			h.Type = typeResident
		case license.CheckUSCC(code) == nil:
			h.Type = typeUSCC
		case digits17.MatchString(code):
			h.Type = typeResident
		default:
			h.Type = typeUSCC
		}
	}
	return h, v.codeFault(h, license.ReasonOf(v.snapshot.Catalogue.CheckHolder(h)))
}

// codeFault says what is wrong with a code, for whoever typed it.
func (v *visit) codeFault(h license.HolderID, reason license.Reason) string {
	person := h.Type == typeResident
	switch {
	case reason == "":
		return ""
	case reason == license.WrongLength && (person || h.Type == typeUSCC):
		n := len([]rune(h.Code))
		return v.in(sprint("应为 18 位，现在是 %d 位，请再核对。", n), sprint("It has 18 characters; these are %d. Please check it.", n))
	case reason == license.WrongCheck:
		return v.in("第 18 位不对，请再核对。", "The 18th character is wrong. Please check it.")
	case reason == license.WrongDate && person:
		return v.in("第 7 至 14 位不是出生日期，请再核对。", "Digits 7 to 14 are no date of birth. Please check them.")
	case reason == license.WrongRegion && person:
		return v.in("前 6 位不是地区代码，请再核对。", "The first six digits are no region. Please check them.")
	case reason == license.WrongAlphabet && person:
		return v.in("身份证号只有数字，末位可以是 X，请再核对。", "A resident id has digits only, and perhaps an X at its end. Please check it.")
	case reason == license.WrongAlphabet && h.Type == typeUSCC:
		return v.in("统一社会信用代码只有数字和大写字母（没有 I、O、S、V、Z），请再核对。", "A credit code has digits and capital letters only, without I, O, S, V, Z. Please check it.")
	case reason == license.UnknownCode:
		return v.in("请选择证件类型。", "Choose the kind of code.")
	}
	return v.in("号码不对，请再核对。", "The code is wrong. Please check it.")
}

// oncePosted is the form that was posted, without files, and its one-time id: the id of the call that it makes.
func (v *visit) oncePosted() (string, *form, error) {
	f, err := v.form("", 0)
	if err != nil {
		return "", nil, err
	}
	once := f.Get("once")
	if !onceID.MatchString(once) {
		return "", nil, errBadForm
	}
	return once, f, nil
}
