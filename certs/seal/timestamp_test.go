package seal_test

import (
	"encoding/asn1"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/timestamp"
	"oncegate/check"
)

// A real authority stamps, and its time is trusted when its own certificate is trusted, not before.
func TestTimeStampAuthority(t *testing.T) {
	c := newCity(t)
	key, chain := c.Issue("tsa-1", pki.TimeStamp, uscc, "示例市时间戳服务中心")
	authority, err := tsa.New(tsa.Config{
		Signer: key, Chain: chain, Policy: asn1.ObjectIdentifier{1, 2, 3}, Now: at(stamped), Dialect: cms.RFC,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.holder.TimeStamp = authority.Stamp
	s := c.sign()
	e := c.expect()
	now := at(e.Now)
	for name, x := range map[string]struct {
		verifier timestamp.Verifier
		state    check.State
	}{
		"trusted":                          {timestamp.Verifier{Chain: c.Trust().Chain, Certificates: c.Intermediate.Chain(), Now: now}, check.OK},
		"nobody vouches for the authority": {timestamp.Verifier{Now: now}, check.NotCheckable},
		"another trust":                    {timestamp.Verifier{Chain: certstest.New(t, "another").Trust().Chain, Now: now}, check.Failed},
	} {
		e.TimeStamp = x.verifier.Check
		r := s.Verify(t.Context(), e)
		if got := step(t, r, seal.StepTime); got.State != x.state || r.Stamped != (x.state == check.OK) {
			t.Errorf("%s: %+v\n%+v", name, got, r.Steps)
		}
		if want := map[bool]time.Time{true: stamped, false: s.Time}[r.Stamped]; !r.Time.Equal(want) {
			t.Errorf("%s: time %v", name, r.Time)
		}
	}
}
