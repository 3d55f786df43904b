package license_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"oncegate/license"
)

// Every cause is one word, says itself in both languages in every form that it takes, and is a fault or an outage throughout.
func TestSourceErrorsInBothLanguages(t *testing.T) {
	seen := map[license.Cause]bool{}
	for _, cause := range license.Causes() {
		if seen[cause] || string(cause) != strings.ToLower(string(cause)) || strings.ContainsAny(string(cause), " _") {
			t.Errorf("%q is no label, or stands there twice", cause)
		}
		seen[cause] = true
		for _, e := range []license.SourceError{
			{}, {Row: 3}, {Name: "clrq"}, {Row: 3, Name: "clrq"}, {Gone: true}, {Name: "clrq", Gone: true}, {Status: 500, Code: "ORA-00942"},
			{Row: 3, Name: "clrq", Detail: "not a day in any of the layouts"},
		} {
			e.Cause = cause
			en, zh := e.Error(), e.Chinese()
			if en == "" || zh == "" || strings.Contains(en+zh, "%!") || strings.ContainsFunc(en, isHan) || !strings.ContainsFunc(zh, isHan) || !strings.HasSuffix(en, e.Code) {
				t.Errorf("%s: %q, %q", cause, en, zh)
			}
			if e.Detail != "" && !strings.HasSuffix(zh, "：不是所列任一格式的日期") {
				t.Errorf("%s: %q, %q", cause, en, zh)
			}
			wrapped := fmt.Errorf("ask: %w", &e)
			if errors.Is(wrapped, license.ErrFaulty) != cause.Faulty() || errors.Is(wrapped, license.ErrUnanswerable) != cause.Faulty() || license.CauseOf(wrapped) != cause {
				t.Errorf("%s: faulty %t", cause, cause.Faulty())
			}
		}
	}
	if license.CauseOf(errors.New("x")) != license.OtherCause {
		t.Error("an unknown error has a cause")
	}
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }
