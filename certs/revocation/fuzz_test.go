package revocation

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
)

// seeds are a list, an answer and a question of a throw-away authority.
func seeds(tb testing.TB) (list, answer, question []byte, issuer *pki.Certificate) {
	w := certstest.New(tb, "fuzz")
	_, chain := w.Issue("dept-1", pki.License, "11330000MB0000001X", "示例")
	issuer = chain[1]
	list, err := w.Intermediate.RevocationList(tb.Context(), big.NewInt(1), time.Hour,
		[]pki.Revoked{{Serial: chain[0].SerialNumber, Time: certstest.Epoch, Reason: pki.KeyCompromise}, {Serial: big.NewInt(3), Time: certstest.Epoch}})
	if err != nil {
		tb.Fatal(err)
	}
	id, err := NewCertID(issuer, chain[0].SerialNumber, SM3)
	if err != nil {
		tb.Fatal(err)
	}
	if question, err = (Request{[]CertID{id}, []byte("nonce")}).Marshal(); err != nil {
		tb.Fatal(err)
	}
	r := &Responder{Issuer: issuer, Signer: w.Signer("ca-sub")}
	data := responseData{Produced: certstest.Epoch, Answers: []singleResponse{
		r.single(id, Status{State: Revoked, Time: certstest.Epoch, Reason: pki.KeyCompromise}, certstest.Epoch),
		r.single(id, Status{State: Good}, certstest.Epoch), r.single(id, Status{State: Unknown}, certstest.Epoch),
	}}
	if answer, err = r.sign(tb.Context(), data); err != nil {
		tb.Fatal(err)
	}
	return list, answer, question, issuer
}

func FuzzParseList(f *testing.F) {
	list, _, _, issuer := seeds(f)
	f.Add(list)
	f.Add(pki.MarshalCRL(list))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseList(data)
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
		again, err := ParseList(l.Raw)
		if err != nil || again.Len() != l.Len() {
			t.Fatal("its own bytes are another list")
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	_, answer, _, issuer := seeds(f)
	f.Add(answer)
	f.Add([]byte{0x30, 3, 0x0a, 1, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseResponse(data)
		if err != nil {
			return
		}
		_, _ = r.Verify(issuer, nil)
		_, _ = r.Status(issuer, issuer, certstest.Epoch)
		if again, err := wrapBasic(r.Raw); err != nil || !bytes.Equal(again, data) {
			t.Fatal("it has another encoding")
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	_, _, question, _ := seeds(f)
	f.Add(question)
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := ParseRequest(data)
		if err != nil {
			return
		}
		der, err := q.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRequest(der)
		if err != nil || len(again.IDs) != len(q.IDs) || !bytes.Equal(again.Nonce, q.Nonce) {
			t.Fatal("it does not come back", err)
		}
	})
}

func FuzzParseEvidence(f *testing.F) {
	list, answer, _, issuer := seeds(f)
	e := Gather([][]byte{list}, [][]byte{answer})
	der, err := e.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEvidence(data)
		if err != nil {
			return
		}
		_, _ = e.Status(t.Context(), issuer, issuer, certstest.Epoch)
		if again, err := e.Marshal(); err != nil || !bytes.Equal(again, data) {
			t.Fatal("it has another encoding")
		}
	})
}

// Our reader of times agrees with the library's on every time, and accepts nothing that the library refuses.
func TestReadTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Unix(rapid.Int64Range(-600_000_000, 250_000_000_000).Draw(rt, "seconds"), 0).UTC()
		var b cryptobyte.Builder
		if at.Year() >= 1950 && at.Year() < 2050 && rapid.Bool().Draw(rt, "utc") {
			b.AddASN1UTCTime(at)
		} else {
			b.AddASN1GeneralizedTime(at)
		}
		in := cryptobyte.String(b.BytesOrPanic())
		if got, ok := readTime(&in); !ok || !got.Equal(at) {
			rt.Fatalf("%v: %v, %v", at, got, ok)
		}
	})
	for text, label := range map[string]tag.Tag{
		"260230000000Z": tag.UTCTime, "2601010000Z": tag.UTCTime, "260101000000+0800": tag.UTCTime, "260101240000Z": tag.UTCTime,
		"2601010000 0Z": tag.UTCTime, "20260101000000.5Z": tag.GeneralizedTime, "20261301000000Z": tag.GeneralizedTime, "": tag.UTCTime,
		"260101000060Z": tag.UTCTime, "260100000000Z": tag.UTCTime, "20260101000000": tag.GeneralizedTime,
	} {
		var b cryptobyte.Builder
		b.AddASN1(label, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
		in := cryptobyte.String(b.BytesOrPanic())
		if got, ok := readTime(&in); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
