package node

import (
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Every key of ours that has a certificate says how long it lasts.
func TestOwnExpiry(t *testing.T) {
	s := newCity(t).serve()
	_, text := s.get("/metrics")
	for _, labels := range []string{`department="market",usage="license"`, `department="service",usage="status"`, `department="service",usage="call"`} {
		m := regexp.MustCompile(`(?m)^oncegate_own_certificate_seconds_to_expiry\{` + labels + `\} (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Errorf("no figure for %s", labels)
			continue
		}
		if left, err := strconv.ParseFloat(m[1], 64); err != nil || left < (24*time.Hour).Seconds() || left > (20*8766*time.Hour).Seconds() {
			t.Errorf("%s: %s seconds, %v", labels, m[1], err)
		}
	}
	setup := s.current.Load().setup
	now, later := time.Now(), 50*8766*time.Hour
	for of, x := range ownExpiry(setup, now.Add(later)) {
		if was := ownExpiry(setup, now)[of]; x.left >= 0 || was.left-x.left != later || x.key == "" {
			t.Errorf("%v: %s now, %s after %s", of, was.left, x.left, later)
		}
	}
}
