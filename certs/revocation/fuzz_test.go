package revocation_test

import (
	"bytes"
	"context"
	"math/big"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/ocsp"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
)

// seeds are a list and an answer of a throw-away authority.
func seeds(tb testing.TB) (list, answer []byte, issuer *pki.Certificate) {
	w := certstest.New(tb, "fuzz")
	_, chain := w.Issue("dept-1", pki.License, "11330000MB0000001X", "示例")
	issuer = chain[1]
	list, err := w.Intermediate.RevocationList(tb.Context(), big.NewInt(1), time.Hour,
		[]pki.Revoked{{Serial: chain[0].SerialNumber, Time: certstest.Epoch, Reason: pki.KeyCompromise}, {Serial: big.NewInt(3), Time: certstest.Epoch}})
	if err != nil {
		tb.Fatal(err)
	}
	id, err := revocation.NewCertID(issuer, chain[0].SerialNumber, revocation.SM3)
	if err != nil {
		tb.Fatal(err)
	}
	at := certstest.Epoch
	states := []revocation.Status{{State: revocation.Revoked, Time: at, Reason: pki.KeyCompromise}, {State: revocation.Good}, {State: revocation.Unknown}}
	r := &ocsp.Responder{Issuer: issuer, Signer: w.Signer("ca-sub"), Now: func() time.Time { return at }}
	r.Lookup = func(context.Context, *big.Int) (s revocation.Status, _ error) {
		s, states = states[0], states[1:]
		return s, nil
	}
	answer = ask(tb, r, revocation.Request{IDs: []revocation.CertID{id, id, id}})
	return list, answer, issuer
}

func FuzzParseList(f *testing.F) {
	list, _, issuer := seeds(f)
	f.Add(list)
	f.Add(pki.MarshalCRL(list))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := revocation.ParseList(data)
		if err != nil {
			return
		}
		_ = l.Verify(issuer, nil)
		n := 0
		for e := range l.Entries() {
			if n++; n > 1000 {
				break
			}
			if _, found := l.Lookup(e.Serial); !found {
				t.Fatalf("%v is in the list and not found", e.Serial)
			}
		}
		again, err := revocation.ParseList(l.Raw)
		if err != nil || again.Len() != l.Len() {
			t.Fatal("its own bytes are another list")
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	_, answer, issuer := seeds(f)
	f.Add(answer)
	f.Add([]byte{0x30, 3, 0x0a, 1, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := revocation.ParseResponse(data)
		if err != nil {
			return
		}
		_, _ = r.Verify(issuer, nil)
		_, _ = r.Status(issuer, issuer, certstest.Epoch)
		_, again, err := (&revocation.Evidence{Responses: []*revocation.Response{r}}).Parts()
		if err != nil || !bytes.Equal(again[0], data) {
			t.Fatal("it has another encoding")
		}
	})
}

func FuzzParseEvidence(f *testing.F) {
	list, answer, issuer := seeds(f)
	e := revocation.Gather([][]byte{list}, [][]byte{answer})
	der, err := e.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := revocation.ParseEvidence(data)
		if err != nil {
			return
		}
		_, _ = e.Status(t.Context(), issuer, issuer, certstest.Epoch)
		if again, err := e.Marshal(); err != nil || !bytes.Equal(again, data) {
			t.Fatal("it has another encoding")
		}
	})
}
