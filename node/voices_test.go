package node

import (
	"crypto/ecdsa"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/client"
	"oncegate/install"
)

// A fast verifier that is wrong rings the alarm, is counted and logged. What it rejects is refused all the same, and a new
// license that it doubts is not published.
func TestBrokenFastVerifier(t *testing.T) {
	t.Parallel()
	accepts := func(_, _ *ecdsa.PublicKey) error { return nil }
	rejects := func(_, _ *ecdsa.PublicKey) error { return sm.ErrBadSignature }
	for name, c := range map[string]struct {
		fast   func(licenses, pub *ecdsa.PublicKey) error // what it says; nil: the truth
		forged bool                                       // the call is signed by somebody else
		passes bool
		rings  bool
	}{
		"tells the truth":       {nil, false, true, false},
		"accepts a forged call": {accepts, true, true, true}, // only listened to: one call in a thousand would ring
		"rejects a good call":   {rejects, false, false, true},
		"rejects a forged call": {rejects, true, false, false}, // both do
		"rejects the new license": {func(licenses, pub *ecdsa.PublicKey) error {
			if pub.Equal(licenses) {
				return sm.ErrBadSignature
			}
			return nil
		}, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			rang := make(chan second.Disagreement, 100)
			s := newCity(t).serveAs(func(n *Node) {
				licenses := licensePublic(t, n)
				count := n.dual.Alarm
				n.dual.Alarm = func(d second.Disagreement) { count(d); rang <- d }
				n.dual.OneIn = 1
				n.dual.Fast = func(pub *ecdsa.PublicKey, message, rs []byte) error {
					if c.fast != nil && broken.Load() {
						return c.fast(licenses, pub)
					}
					return sm.Verify(pub, message, rs)
				}
			})
			s.register("SP-1")
			caller := s.as("food-approval")
			if c.forged {
				caller = s.forger("food-approval")
			}
			broken.Store(true)
			answer, err := caller.Query(t.Context(), question("SP-1"))
			if (err == nil) != c.passes || err != nil && answer != nil {
				t.Errorf("%v, %v", answer, err)
			}
			if c.rings {
				select {
				case d := <-rang:
					if accepted := c.forged; (d.Fast == nil) != accepted || (d.Second == nil) == accepted {
						t.Errorf("%+v", d)
					}
				case <-time.After(10 * time.Second):
					t.Error("no alarm")
				}
			}
			s.dual.Close() // waits for what is queued
			_, metrics := s.get("/metrics")
			if silent := strings.Contains(metrics, "oncegate_sm2_disagreements_total 0\n"); silent == c.rings {
				t.Errorf("the metric says nothing happened: %v", silent)
			}
			if told := strings.Contains(s.logs.String(), "the two SM2 verifiers disagree"); told != c.rings {
				t.Errorf("the log tells of it: %v", told)
			}
		})
	}
}

// licensePublic is the key that signs the licenses of the city.
func licensePublic(t *testing.T, n *Node) *ecdsa.PublicKey {
	t.Helper()
	setup := n.current.Load().setup
	for _, d := range setup.Departments {
		if d.LicenseKey == "" {
			continue
		}
		k, err := d.FindLicenseKey(setup.Keys)
		if err != nil {
			t.Fatal(err)
		}
		return k.SM2
	}
	t.Fatal("no department signs licenses")
	return nil
}

// forger calls as a system, by the name of its key, without having the key.
func (s *served) forger(system string) *client.Client {
	s.t.Helper()
	setup := s.current.Load().setup
	keys, err := install.OpenCallers(setup, "")
	if err != nil {
		s.t.Fatal(err)
	}
	honest, err := install.CallerSigner(setup, keys, system)
	if err != nil {
		s.t.Fatal(err)
	}
	own, err := sm.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := sm.NewSigner(honest.KeyID(), own, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(client.Config{
		BaseURL: s.PublicURL(), Gateway: "example-gateway", System: system, Signer: signer, Operator: "window-3", Trust: s.trusted(), Tries: 1,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}
