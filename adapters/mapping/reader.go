package mapping

import (
	"errors"
	"strings"

	"oncegate/license"
)

// Why one value cannot be read, where that has a cause of its own.
var (
	errNoColumn     = errors.New("the row has no such column")
	errNotADay      = errors.New("not a day in any of the layouts")
	errUnlistedCode = errors.New("the code is not in the table")
)

var causes = map[license.Cause]error{license.NoColumn: errNoColumn, license.NotADay: errNotADay, license.UnlistedCode: errUnlistedCode}

// A reader reads one row and keeps the first error.
type reader struct {
	row Row
	n   int
	err error
}

func (in *reader) fail(v Value, err error) {
	if in.err == nil {
		e := &license.SourceError{Cause: license.BadValue, Row: in.n + 1, Name: v.From, Detail: err.Error()}
		for cause, is := range causes {
			if errors.Is(err, is) {
				e.Cause = cause
			}
		}
		if e.Cause == license.NoColumn {
			e.Detail = "" // the cause says it all
		}
		in.err = e
	}
}

func (in *reader) text(v Value) string {
	s, err := v.text(in.row)
	if err != nil {
		in.fail(v, err)
	}
	return s
}

func (in *reader) date(v Value, read func(Value, Row) (license.Date, error)) license.Date {
	d, err := read(v, in.row)
	if err != nil {
		in.fail(v, err)
	}
	return d
}

// holders reads the holders of the row: one, or parallel lists.
func (in *reader) holders(h Holders) []license.Holder {
	codes := in.list(h.Code, h.Separator, 0, Value.convert)
	names := in.list(h.Name, h.Separator, len(codes), Value.convert)
	types := h.Type
	if s, err := types.raw(in.row); err == nil && types.From != "" && !strings.Contains(s, h.Separator) {
		types = Value{Const: in.text(types)} // one type for all holders of the row
	}
	kinds := in.list(types, h.Separator, len(codes), Value.convert)
	if in.err != nil {
		return nil
	}
	all := make([]license.Holder, len(codes))
	for i := range codes {
		id := license.HolderID{Type: kinds[i], Code: codes[i]}.Normal()
		if id.Code == "" || id.Type == "" {
			in.fail(h.Code, errors.New("a holder has no code or no code type"))
			return nil
		}
		all[i] = license.Holder{HolderID: id, Name: names[i]}
	}
	return all
}

// list reads one value per holder. A value that is not from a column stands for each; n is how many are due, 0 for as
// many as there are.
func (in *reader) list(v Value, separator string, n int, convert func(Value, string) (string, error)) []string {
	parts := []string{""}
	if s, err := v.raw(in.row); err != nil {
		in.fail(v, err)
	} else if v.From == "" {
		return repeat(s, max(n, 1))
	} else if s == "" && n > 1 {
		return repeat("", n)
	} else if parts[0] = s; separator != "" {
		parts = strings.Split(s, separator)
	}
	if n > 0 && len(parts) != n {
		in.fail(v, errors.New("has "+itoa(len(parts))+" values for "+itoa(n)+" holders"))
	}
	for i, part := range parts {
		if strings.Contains(part, "\n") {
			in.fail(v, errors.New("a value per holder may not contain a line break"))
		}
		s, err := convert(v, strings.TrimSpace(part))
		if err != nil {
			in.fail(v, err)
		}
		parts[i] = s
	}
	return parts
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}
