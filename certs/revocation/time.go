package revocation

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// readTime reads UTCTime or GeneralizedTime in the one form that RFC 5280 section 4.1.2.5 allows: to the second, in Z. A
// large list has 400,000 of them; the library's reader takes ten times as long.
func readTime(s *cryptobyte.String) (time.Time, bool) {
	var text cryptobyte.String
	if s.PeekASN1Tag(tag.UTCTime) {
		if !s.ReadASN1(&text, tag.UTCTime) || len(text) != len("060102150405Z") {
			return time.Time{}, false
		}
		year, ok := digits(text[:2])
		if year += 1900; year < 1950 {
			year += 100
		}
		return clock(year, text[2:], ok)
	}
	if !s.ReadASN1(&text, tag.GeneralizedTime) || len(text) != len("20060102150405Z") {
		return time.Time{}, false
	}
	year, ok := digits(text[:4])
	return clock(year, text[4:], ok)
}

// clock reads MMDDhhmmssZ.
func clock(year int, rest []byte, ok bool) (time.Time, bool) {
	var part [5]int
	for i := range part {
		n, is := digits(rest[2*i : 2*i+2])
		part[i], ok = n, ok && is
	}
	if !ok || rest[10] != 'Z' {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(part[0]), part[1], part[2], part[3], part[4], 0, time.UTC)
	// time.Date carries what is out of range: 30 February is 2 March.
	same := int(t.Month()) == part[0] && t.Day() == part[1] && t.Hour() == part[2] && t.Minute() == part[3] && t.Second() == part[4]
	return t, same
}

func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
