package ocsp

import (
	"bytes"
	"math/big"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
)

func FuzzParseRequest(f *testing.F) {
	w := certstest.New(f, "fuzz")
	_, chain := w.Issue("dept-1", pki.License, "11330000MB0000001X", "示例")
	id, err := revocation.NewCertID(chain[1], big.NewInt(7), revocation.SM3)
	if err != nil {
		f.Fatal(err)
	}
	question, err := revocation.Request{IDs: []revocation.CertID{id}, Nonce: []byte("nonce")}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(question)
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := parseRequest(data)
		if err != nil {
			return
		}
		der, err := q.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseRequest(der)
		if err != nil || len(again.IDs) != len(q.IDs) || !bytes.Equal(again.Nonce, q.Nonce) {
			t.Fatal("it does not come back", err)
		}
	})
}
