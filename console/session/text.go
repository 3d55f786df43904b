package session

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// narrow makes full-width letters and digits, as input methods type them, ordinary ones.
func narrow(s string) string { return width.Narrow.String(s) }

// digits are the digits of a code of the second factor: authenticators show them in groups.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, narrow(clip(s, 64)))
}

// clip cuts a text at most bytes.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func retryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}

func codeOf(err error) string {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r.Code
	}
	if errors.Is(err, context.Canceled) {
		return CodeCancelled
	}
	return CodeStorage
}
