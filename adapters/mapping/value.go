package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Value says where one value of a license comes from and how it is read. In YAML a plain text is short for
// {from: …}, so `number: zzbh` reads column zzbh.
type Value struct {
	From      string            `yaml:"from"`      // column (SQL, CSV) or JSON pointer (REST)
	Const     string            `yaml:"const"`     // the same for every row, instead of from
	Optional  bool              `yaml:"optional"`  // rows may lack the column; it is then not stated
	List      string            `yaml:"list"`      // id and version of the source's code list that codes translates
	Codes     map[string]string `yaml:"codes"`     // code table: the source's code → ours
	Default   *string           `yaml:"default"`   // what a code outside the table becomes; without it, such a row is refused
	Absent    []string          `yaml:"absent"`    // texts that mean "not stated", such as ["0000-00-00", "/", "无"]; they are read as the empty text
	Layouts   []string          `yaml:"layouts"`   // of a date: yyyyMMdd, yyyy-MM-dd, yyyy年M月d日, "yyyy-MM-dd HH:mm:ss", rfc3339, unix-s, unix-ms, excel-serial; of a month: yyyyMM, yyyy年M月. None: yyyy-MM-dd, yyyyMMdd and "yyyy-MM-dd HH:mm:ss"
	Day       string            `yaml:"day"`       // which day of the month a layout without a day means: first (issued on, valid from) or last (valid to). Required with such a layout
	Unlimited []string          `yaml:"unlimited"` // of valid_to: what means 长期, such as ["长期", "9999-12-31", ""]
}

// UnmarshalYAML accepts a plain text for {from: text}.
func (v *Value) UnmarshalYAML(unmarshal func(any) error) error {
	var column string
	if unmarshal(&column) == nil {
		*v = Value{From: column}
		return nil
	}
	type full Value
	return unmarshal((*full)(v))
}

// set says whether the configuration states the value at all.
func (v Value) set() bool { return v.From != "" || v.Const != "" }

// raw returns the text of the row, trimmed of white space; a Value that is not set gives "".
func (v Value) raw(r Row) (string, error) {
	if v.From == "" {
		return v.Const, nil
	}
	s, ok := r[v.From]
	if !ok && !v.Optional {
		return "", errNoColumn
	}
	if strings.ContainsRune(s, utf8.RuneError) || !utf8.ValidString(s) {
		return "", errors.New("a character was lost before it came here (U+FFFD or invalid UTF-8)")
	}
	if s = strings.TrimSpace(s); slices.Contains(v.Absent, s) {
		return "", nil
	}
	return s, nil
}

// code translates a text by the code table, where there is one. The empty text is a code like any other when the
// table or the default covers it, and otherwise stays "not stated".
func (v Value) code(s string) (string, error) {
	if v.Codes == nil {
		return s, nil
	}
	if ours, ok := v.Codes[s]; ok {
		return ours, nil
	}
	if v.Default != nil {
		return *v.Default, nil
	}
	if s == "" {
		return "", nil
	}
	if v.List != "" {
		return "", fmt.Errorf("%w of list %s", errUnlistedCode, v.List)
	}
	return "", errUnlistedCode
}

// text is raw followed by code.
func (v Value) text(r Row) (string, error) {
	s, err := v.raw(r)
	if err != nil {
		return "", err
	}
	return v.convert(s)
}

// convert is code for what a column holds; a constant is what it is.
func (v Value) convert(s string) (string, error) {
	if v.From == "" {
		return s, nil
	}
	return v.code(s)
}

// columns lists what a record reads; optional ones only when asked for. Sorted, each once.
func (r Record) columns(optional bool) []string {
	var names []string
	for _, e := range r.values() {
		if e.value.From != "" && (optional || !e.value.Optional) {
			names = append(names, e.value.From)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// values lists every Value of the record with its YAML path below the record.
func (r Record) values() []placed {
	all := []placed{
		{"number", r.Number}, {"issuer.name", r.Issuer.Name}, {"issuer.code", r.Issuer.Code}, {"issuer.level", r.Issuer.Level},
		{"issued", r.Issued}, {"valid_from", r.ValidFrom}, {"valid_to", r.ValidTo}, {"status", r.Status},
		{"holders.code", r.Holders.Code}, {"holders.name", r.Holders.Name}, {"holders.type", r.Holders.Type},
	}
	for _, name := range sortedKeys(r.Fields) {
		all = append(all, placed{"fields." + name, r.Fields[name]})
	}
	return all
}

type placed struct {
	path  string
	value Value
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func itoa(n int) string { return strconv.Itoa(n) }
