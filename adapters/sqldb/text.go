package sqldb

import (
	"bytes"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// text writes a driver's value as the text that mappings read. NULL is "". Days are yyyy-MM-dd, wall clock times
// "yyyy-MM-dd HH:mm:ss", instants RFC 3339; which of them the type of the i-th column says. What cannot be written exactly is
// refused.
func (e engine) text(v any, types []*sql.ColumnType, i int) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte: // a BIT of MySQL is a byte 0 or 1, a UNIQUEIDENTIFIER of SQL Server sixteen of any kind
		if !utf8.Valid(v) || bytes.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' }) {
			return "", errors.New("binary data, or text in another character set; convert it to text in the query")
		}
		return string(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	case time.Time:
		return e.formatTime(v, strings.ToUpper(types[i].DatabaseTypeName()))
	case float64: // the shortest decimal that is this number
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", errors.New("not a number")
		}
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return "", errors.New("not a number")
		}
		return strconv.FormatFloat(float64(v), 'f', -1, 32), nil
	}
	return "", errors.New("a type that mappings cannot read; cast it to text in the query")
}

func (e engine) formatTime(t time.Time, databaseType string) (string, error) {
	switch {
	case databaseType == "DATE" && !e.clock:
		// With _inttotime, SQLite's driver takes the number that 20260102 becomes in a DATE column for seconds since 1970.
		if h, m, s := t.Clock(); h != 0 || m != 0 || s != 0 {
			return "", errors.New("a DATE with a time of day; cast it to text in the query and give the layout")
		}
		return t.Format("2006-01-02"), nil
	case strings.Contains(databaseType, "TZ") || strings.Contains(databaseType, "ZONE") || strings.Contains(databaseType, "OFFSET"):
		return t.Format(time.RFC3339), nil
	}
	return t.Format("2006-01-02 15:04:05"), nil
}
