package revocation_test

import (
	"math/big"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/revocation"
)

// What was kept and what was fetched travel together, each item once, in the form that is read back.
func TestEvidenceTogether(t *testing.T) {
	w := certstest.New(t, "together")
	list := func(number int64) *revocation.List {
		der, err := w.Intermediate.RevocationList(t.Context(), big.NewInt(number), time.Hour, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := revocation.ParseList(der)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one, two := list(1), list(2)
	kept, fetched := &revocation.Evidence{Lists: []*revocation.List{one}}, &revocation.Evidence{Lists: []*revocation.List{two, one}}
	der, err := fetched.With(kept).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := revocation.ParseEvidence(der)
	if err != nil || len(back.Lists) != 2 {
		t.Fatalf("%+v, %v", back, err)
	}
	_, chain := w.Issue("leaf", "seal", "11379901MB99103773", "示例市市场监督管理局")
	path, err := w.Trust().Path(chain[0], chain[1:], one.This)
	if err != nil {
		t.Fatal(err)
	}
	if about := back.Relevant(path, one.This); len(about.Lists) != 1 {
		t.Errorf("%d lists of one authority travel, the newest is enough", len(about.Lists))
	}
}
