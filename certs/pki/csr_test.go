package pki_test

import (
	"bytes"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
)

func TestRequest(t *testing.T) {
	w := certstest.New(t, "csr")
	signer := w.Signer("system")
	text, err := pki.CreateRequest(t.Context(), pki.Request{Organization: "示例局", USCC: "11990100000001010B", Usage: pki.Call, CommonName: "system"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := pki.ParseRequest(text)
	if err != nil || !pub.Equal(signer.Public()) {
		t.Fatalf("the key did not come back: %v", err)
	}
	for i := 40; i < len(text)-40; i += 7 {
		bad := bytes.Clone(text)
		if bad[i] == '\n' {
			continue
		}
		bad[i] = map[bool]byte{true: 'B', false: 'A'}[bad[i] == 'A']
		if _, err := pki.ParseRequest(bad); err == nil {
			t.Fatalf("a request changed at byte %d was accepted", i)
		}
	}
}
