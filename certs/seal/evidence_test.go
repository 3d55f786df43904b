package seal_test

import (
	"math/big"
	"testing"
	"time"

	"oncegate/certs/revocation"
	"oncegate/check"
)

// Evidence travels under the signature: it comes back as it was, nobody calls it odd, and none can be put in its place.
func TestEvidenceTravels(t *testing.T) {
	c := newCity(t)
	der, err := c.Intermediate.RevocationList(t.Context(), big.NewInt(7), 24*time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := revocation.ParseList(der)
	if err != nil {
		t.Fatal(err)
	}
	c.holder.Evidence = &revocation.Evidence{Lists: []*revocation.List{list}}
	signed := c.sign()
	if len(signed.Extensions) != 1 || !signed.Extensions[0].ID.Equal(revocation.OIDRevocationValues) {
		t.Fatalf("%+v", signed.Extensions)
	}
	e, err := revocation.ParseEvidence(signed.Extensions[0].Value)
	if err != nil || len(e.Lists) != 1 || e.Lists[0].Number.Int64() != 7 {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, s := range signed.Verify(t.Context(), c.expect()).Steps {
		if s.State != check.OK {
			t.Errorf("%+v", s)
		}
	}
	path, err := c.Trust().Path(c.holder.Certificate, c.Intermediate.Chain(), list.This)
	if err != nil {
		t.Fatal(err)
	}
	if steps := revocation.Check(t.Context(), path[:2], list.This, e); steps[0].State != check.OK {
		t.Errorf("%+v", steps)
	}
	c.holder.Evidence = &revocation.Evidence{}
	if plain := c.sign(); len(plain.Extensions) != 0 {
		t.Errorf("empty evidence travels: %+v", plain.Extensions)
	}
}
