package cms_test

import (
	"context"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/timestamp"
	"oncegate/check"
)

// A message with a time stamp and revocation lists inside verifies nine years later, from the anchor alone and without
// network; and no longer if the lists name the signer, or the stamp is another's. Without a stamp that holds nothing proves that
// it was signed before its certificate expired.
func TestLasting(t *testing.T) {
	w, stranger := certstest.New(t, "cms"), certstest.New(t, "stranger")
	id := identity(w, "seal-1", pki.Seal)
	list := func(ca *pki.CA, revoked ...pki.Revoked) []byte {
		b, err := ca.RevocationList(t.Context(), big.NewInt(1), 24*time.Hour, revoked)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	stamper := func(w *certstest.World) *tsa.Authority {
		key, chain := w.Issue("tsa-1", pki.TimeStamp, "11990100000001010B", "示例市政务服务局")
		a, err := tsa.New(tsa.Config{Signer: key, Chain: chain, Policy: asn1.ObjectIdentifier{1, 2, 3}, Dialect: cms.RFC, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	refuses := func(context.Context, []byte) ([]byte, error) { return nil, timestamp.ErrUnavailable }
	otherToken := func(ctx context.Context, _ []byte) ([]byte, error) { return stamper(w).Stamp(ctx, []byte("other")) }
	now := func() time.Time { return certstest.Epoch.AddDate(9, 0, 0) }
	gone := pki.Revoked{Serial: id.Chain[0].SerialNumber, Time: certstest.Epoch.Add(-time.Minute)}
	for _, c := range []struct {
		name    string
		stamp   func(context.Context, []byte) ([]byte, error)
		lists   [][]byte
		trusts  bool // the time stamp's verifier has anchors
		fails   string
		open    string
		stamped bool
	}{
		{"all", stamper(w).Stamp, [][]byte{list(w.Intermediate), list(w.Root)}, true, "", "", true},
		{"revoked before", stamper(w).Stamp, [][]byte{list(w.Intermediate, gone), list(w.Root)}, true, "cms-revocation", "", true},
		{"no list of the root's", stamper(w).Stamp, [][]byte{list(w.Intermediate)}, true, "", "cms-revocation", true},
		{"no list", stamper(w).Stamp, nil, true, "", "cms-revocation", true},
		{"no anchors for the stamp", stamper(w).Stamp, [][]byte{list(w.Intermediate), list(w.Root)}, false, "", "cms-timestamp cms-chain", false},
		{"a stranger's stamp", stamper(stranger).Stamp, [][]byte{list(w.Intermediate), list(w.Root)}, true, "cms-timestamp", "cms-chain", false},
		{"a stamp of something else", otherToken, [][]byte{list(w.Intermediate), list(w.Root)}, true, "cms-timestamp", "cms-chain", false},
		{"no stamp", nil, [][]byte{list(w.Intermediate), list(w.Root)}, true, "", "cms-chain", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := sign(t, cms.Config{TimeStamp: c.stamp, CRLs: c.lists, SigningCertificate: true}, id)
			trust := w.Trust()
			stamps := &timestamp.Verifier{Now: now}
			if c.trusts {
				stamps.Chain = trust.Chain
			}
			v := cms.Verifier{
				Chain: trust.Chain, Usage: pki.Seal, Now: now, TimeStamp: stamps.Check,
				Revocation: func(ctx context.Context, e cms.Evidence) (check.State, string) {
					path, err := trust.Path(e.Certificate, e.Above, e.At)
					if err != nil {
						return check.NotCheckable, err.Error()
					}
					s := revocation.Sum(revocation.Check(ctx, path, e.At, revocation.Gather(e.CRLs, e.OCSP)))
					return s.State, s.Reason
				},
			}
			r := v.Verify(t.Context(), b, nil, time.Time{})
			var open []string
			for _, s := range r.Steps {
				if s.State == check.NotCheckable {
					open = append(open, s.Name)
				}
			}
			if failed(r.Steps) != c.fails || strings.Join(open, " ") != c.open {
				t.Errorf("failed %q, open %q\n%+v", failed(r.Steps), open, r.Steps)
			}
			d := r.Signers[0]
			if d.Stamped != c.stamped || d.Claimed == c.stamped || c.stamped && !d.Time.Equal(clock()) {
				t.Errorf("time %v, stamped %v, claimed %v", d.Time, d.Stamped, d.Claimed)
			}
			if has := strings.Contains(names(r.Steps), "cms-timestamp"); has != (c.stamp != nil) {
				t.Errorf("steps: %s", names(r.Steps))
			}
		})
	}
	if _, err := cms.Sign(t.Context(), cms.Config{TimeStamp: refuses}, content, id); !errors.Is(err, timestamp.ErrUnavailable) {
		t.Errorf("without its stamp a message is not made: %v", err)
	}
}

// The caller's time goes before the token's, and a hook that says nothing proves no time.
func TestWhoseTime(t *testing.T) {
	w := certstest.New(t, "cms")
	stamp := func(context.Context, []byte) ([]byte, error) { return []byte{0x30, 0}, nil }
	b := sign(t, cms.Config{TimeStamp: stamp}, identity(w, "seal-1", pki.Seal))
	v := verifier(w)
	stamped, given := clock().Add(time.Hour), clock().Add(2*time.Hour)
	ok := []check.Step{{Name: "timestamp-parse", State: check.OK}, {Name: "timestamp-revocation", State: check.NotCheckable}}
	v.TimeStamp = func([]byte, []byte) (time.Time, []check.Step) { return stamped, ok }
	if d := v.Verify(t.Context(), b, nil, time.Time{}).Signers[0]; !d.Time.Equal(stamped) || !d.Stamped {
		t.Errorf("%v", d.Time)
	}
	if d := v.Verify(t.Context(), b, nil, given).Signers[0]; !d.Time.Equal(given) || d.Stamped || d.Claimed {
		t.Errorf("%v", d.Time)
	}
	v.TimeStamp = func([]byte, []byte) (time.Time, []check.Step) { return time.Time{}, ok }
	if d := v.Verify(t.Context(), b, nil, time.Time{}).Signers[0]; !d.Claimed || d.Stamped {
		t.Errorf("%+v", d)
	}
	v.TimeStamp = nil
	r := v.Verify(t.Context(), b, nil, time.Time{})
	if d := r.Signers[0]; !d.Claimed || r.Steps[4].Name != "cms-timestamp" || r.Steps[4].State != check.NotCheckable {
		t.Errorf("%+v", r.Steps)
	}
}

// Unsigned attributes come back, and change nothing that is signed.
func TestUnsigned(t *testing.T) {
	w := certstest.New(t, "cms")
	id := identity(w, "seal-1", pki.Seal)
	id.Unsigned = []cms.Attribute{{Type: revocation.OIDRevocationValues, Value: []byte{0x30, 0}}}
	r := verifier(w).Verify(t.Context(), sign(t, cms.Config{}, id), nil, time.Time{})
	if got := r.Message.Signers[0].Unsigned; failed(r.Steps) != "" || len(got) != 1 || !got[0].Type.Equal(revocation.OIDRevocationValues) {
		t.Errorf("%+v %+v", r.Steps, got)
	}
}
