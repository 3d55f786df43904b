package sheet

import (
	"fmt"
	"regexp"
	"strings"
)

// A piece of a pattern is a fixed text or a field in a format.
type piece struct {
	text   string
	path   string // of a field; empty for a fixed text
	format string // "", "date", "capital", "money" or the name of a code list
}

var placeholder = regexp.MustCompile(`\{([a-z][a-z0-9_]*)(?::([a-z][a-z0-9_-]*))?\}`)

// pieces reads a pattern such as "自 {valid_from:date} 至 {valid_to:date}".
func pieces(pattern string) ([]piece, error) {
	var out []piece
	rest := pattern
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		if at[0] > 0 {
			out = append(out, piece{text: rest[:at[0]]})
		}
		p := piece{path: rest[at[2]:at[3]]}
		if at[4] >= 0 {
			p.format = rest[at[4]:at[5]]
		}
		out, rest = append(out, p), rest[at[1]:]
	}
	if rest != "" {
		out = append(out, piece{text: rest})
	}
	fields := 0
	for _, p := range out {
		if strings.ContainsAny(p.text, "{}") {
			return nil, fmt.Errorf("a pattern names fields as {field} or {field:format}")
		}
		if p.path != "" {
			fields++
		}
	}
	if fields == 0 {
		return nil, fmt.Errorf("a pattern names at least one field, such as {holder_name}")
	}
	return out, nil
}

// show writes a value in a format. What is not of the form that the format expects stays as it is: nothing is lost.
func (l *Layout) show(format, value string) string {
	switch format {
	case "":
		return value
	case "date":
		return chineseDate(value)
	case "money":
		return grouped(value)
	case "capital":
		return capital(value)
	}
	if text, ok := l.Codes[format][value]; ok {
		return text
	}
	return value
}

var isoDate = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})$`)

// chineseDate writes 2026-11-23 as 2026年11月23日; 长期 and everything else stays.
func chineseDate(value string) string {
	d := isoDate.FindStringSubmatch(value)
	if d == nil {
		return value
	}
	return d[1] + "年" + strings.TrimPrefix(d[2], "0") + "月" + strings.TrimPrefix(d[3], "0") + "日"
}

var plainAmount = regexp.MustCompile(`^(-?)([0-9]{1,15})(?:\.([0-9]{1,2}))?$`)

// grouped writes 1234567.5 as ￥1,234,567.50.
func grouped(value string) string {
	a := plainAmount.FindStringSubmatch(value)
	if a == nil {
		return value
	}
	whole := strings.TrimLeft(a[2], "0")
	if whole == "" {
		whole = "0"
	}
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	return "￥" + a[1] + whole + "." + (a[3] + "00")[:2]
}

// capital writes an amount of 元 in the digits of cheques and receipts (大写), such as 壹万贰仟叁佰元伍角整.
func capital(value string) string {
	a := plainAmount.FindStringSubmatch(value)
	if a == nil || len(strings.TrimLeft(a[2], "0")) > 12 {
		return value
	}
	const digits = "零壹贰叁肆伍陆柒捌玖"
	digit := func(c byte) string { return digits[3*int(c-'0') : 3*int(c-'0')+3] }
	var out strings.Builder
	if a[1] != "" {
		out.WriteString("负")
	}
	whole := strings.TrimLeft(a[2], "0")
	zero, written := false, false // zeros are pending; the group of four has a digit
	for i := range len(whole) {
		place := len(whole) - 1 - i
		if whole[i] == '0' {
			zero = true
		} else {
			if zero {
				out.WriteString("零")
			}
			zero, written = false, true
			out.WriteString(digit(whole[i]) + [...]string{"", "拾", "佰", "仟"}[place%4])
		}
		if place%4 == 0 {
			if written {
				out.WriteString([...]string{"", "万", "亿"}[place/4])
			}
			written = false
		}
	}
	cents := (a[3] + "00")[:2]
	if whole != "" {
		out.WriteString("元")
	}
	switch {
	case cents == "00" && whole == "":
		return "零元整"
	case cents == "00":
		return out.String() + "整"
	case cents[0] == '0' && whole != "":
		out.WriteString("零")
	case cents[0] != '0':
		out.WriteString(digit(cents[0]) + "角")
	}
	if cents[1] == '0' {
		return out.String() + "整"
	}
	return out.String() + digit(cents[1]) + "分"
}
