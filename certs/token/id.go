package token

import (
	"strconv"
	"time"
)

// timeOrdered tells whether id starts with a time around the time of issue: a lower-case UUIDv7, or Unix seconds (10 digits) or
// milliseconds (13 digits) followed by anything but a digit. The store's index of used ids stays dense only as long as ids
// grow with time; far-off ones would be a cheap way to slow everybody down.
func timeOrdered(id string, iat int64) bool {
	if len(id) == 0 || len(id) > MaxText {
		return false
	}
	for i := range len(id) {
		if !unreserved(id[i]) {
			return false
		}
	}
	at, ok := uuidTime(id)
	if !ok {
		at, ok = decimalTime(id)
	}
	off := at - iat
	const limit = int64((MaxLifetime + Skew) / time.Second)
	return ok && -limit <= off && off <= limit
}

// unreserved are the characters that stand for themselves everywhere (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// decimalTime reads leading Unix seconds or milliseconds.
func decimalTime(id string) (seconds int64, ok bool) {
	n := 0
	for n < len(id) && '0' <= id[n] && id[n] <= '9' {
		n++
	}
	if n != 10 && n != 13 {
		return 0, false
	}
	at, err := strconv.ParseInt(id[:n], 10, 64)
	if n == 13 {
		at /= 1000
	}
	return at, err == nil
}

// uuidTime reads the time of a lower-case UUIDv7 (RFC 9562 section 5.7).
func uuidTime(id string) (seconds int64, ok bool) {
	if len(id) != 36 || id[14] != '7' || (id[19] != '8' && id[19] != '9' && id[19] != 'a' && id[19] != 'b') {
		return 0, false
	}
	var ms int64
	for i := range len(id) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if id[i] != '-' {
				return 0, false
			}
			continue
		}
		d := hexDigit(id[i])
		if d < 0 {
			return 0, false
		}
		if i < 13 {
			ms = ms<<4 | int64(d)
		}
	}
	return ms / 1000, true
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
