package sources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/license"
)

// Log and metric say why a source did not answer: at once, once a minute for each cause, and in the words of the error's fixed sentences
// alone. A fault of its data opens no breaker, an outage does.
func TestFailuresAreSaid(t *testing.T) {
	const secret = "11010519491231002X 甲某 postgres://u:p@host"
	for _, c := range []struct {
		err         error
		cause, says string
		open        bool
	}{
		{&license.SourceError{Cause: license.ConnectionRefused}, "connection-refused", "nothing listens", true},
		{fmt.Errorf("%s: %w", secret, &license.SourceError{Cause: license.Authentication, Code: "SQLSTATE 28P01"}), "authentication", "SQLSTATE 28P01", true},
		{&license.SourceError{Cause: license.NoColumn, Name: "clrq", Gone: true}, "no-column", "column clrq is gone", false},
		{&license.SourceError{Cause: license.NotADay, Row: 3, Name: "clrq", Detail: "not a day in any of the layouts"}, "not-a-day", "row 3, column clrq", false},
		{errors.New(secret), "other", "could not answer", true},
		{fmt.Errorf("%w: %s", license.ErrUnanswerable, secret), "record", "", false},
		{fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), "timeout", "in time", true},
	} {
		var lines bytes.Buffer
		registry, now := prometheus.NewRegistry(), time.Now()
		s := New(Config{ID: "market", Failures: 10, Cooldown: time.Minute, Source: alwaysFinds{State: license.IsUnavailable, Err: c.err}},
			NewMetrics(registry), slog.New(slog.NewTextHandler(&lines, nil)), func() time.Time { return now })
		for range 10 {
			s.Find(t.Context(), "a", oneQuestion)
		}
		if s.Open() != c.open {
			t.Errorf("%s: the breaker is open: %t", c.cause, s.Open())
		}
		if n := counted(t, registry, c.cause); n != 10 {
			t.Errorf("%s: counted %v", c.cause, n)
		}
		said := func() (n int) {
			for line := range strings.Lines(lines.String()) {
				if strings.Contains(line, "cause="+c.cause) && strings.Contains(line, c.says) {
					n++
				}
			}
			return n
		}
		if said() != 1 {
			t.Errorf("%s: logged %d times:\n%s", c.cause, said(), lines.String())
		}
		if now = now.Add(logEvery); !c.open {
			if s.Find(t.Context(), "a", oneQuestion); said() != 2 || !strings.Contains(lines.String(), "not_logged=9") {
				t.Errorf("%s: a minute later logged %d times:\n%s", c.cause, said(), lines.String())
			}
		}
		for word := range strings.FieldsSeq(secret) {
			if strings.Contains(lines.String(), word) {
				t.Errorf("%s: the log repeats %s:\n%s", c.cause, word, lines.String())
			}
		}
	}
}

// counted is how many failures of a cause the metric counts; it has no other label than source and cause.
func counted(t *testing.T, registry *prometheus.Registry, cause string) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "oncegate_source_failures_total" && len(l) == 2 && l[0].GetValue() == cause && l[1].GetValue() == "market" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// What says nothing about the source is no failure of it.
func TestNoFailures(t *testing.T) {
	for _, err := range []error{
		nil, license.ErrCannotAsk, fmt.Errorf("wait: %w", ErrNoSlot), &callerLeft{context.DeadlineExceeded}, context.Canceled,
	} {
		if e := failureOf(err); e != nil {
			t.Errorf("%v: %v", err, e)
		}
	}
}
