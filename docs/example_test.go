package docs_test

import (
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"oncegate/certs/sm"
	"oncegate/certs/token"
)

// The key of the example is the published one of GB/T 32918.5: nobody may use it for anything else.
const exampleKey = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"

// example is the call of api.md with every intermediate value, so that an implementer can compare. Its signature is the
// deterministic one (RFC 6979 with SM3); any other valid signature will do as well.
func example(t *testing.T) string {
	d, err := hex.DecodeString(exampleKey)
	must(t, err)
	key, err := sm.ParsePrivateKey(d)
	must(t, err)
	signer, err := sm.NewDeterministicSigner("food-approval-1", key)
	must(t, err)
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	body := `{"license_type":"business-license","holder":{"type":"001","code":"91379901MA9920002Q"},"purpose":{"case":"SP-2026-000123","material":"business-license"},"fields":["legal_representative","name"]}`
	claims := token.Claims{
		Issuer: "food-approval", Audience: "yunchuan-gateway", ID: "01a2068f-8a00-7000-8000-000000000001", Method: "POST",
		URL: "http://127.0.0.1:8420/v1/licenses/query", Body: token.BodyDigest([]byte(body)), Operator: "clerk-7", Request: "req-1",
	}
	compact, err := token.Sign(t.Context(), signer, claims, now)
	must(t, err)
	_, err = token.Verify(t.Context(), compact, token.Expect{
		Audience: claims.Audience, Method: claims.Method, URL: claims.URL, Body: token.BodyIs(claims.Body), Now: now,
		KeyOf: func(string, string) (*ecdsa.PublicKey, error) { return signer.Public(), nil },
	})
	must(t, err)
	parts := strings.Split(compact, ".")
	point := sm.MarshalPoint(signer.Public())
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "%s\n  %s\n", name, value) }
	b.WriteString("```text\n")
	row("private key d (the sample key of GB/T 32918.5: for this example only)", strings.ToLower(exampleKey))
	row("public key 04‖x‖y", hex.EncodeToString(point))
	row("body", body)
	row("base64url(SM3(body)) = claim sm3", claims.Body)
	row("header", decode(t, parts[0]))
	row("payload", decode(t, parts[1]))
	row("signing input = base64url(header) . base64url(payload), in ASCII", parts[0]+"."+parts[1])
	row("signature r‖s (one of many that are valid), base64url", parts[2])
	b.WriteString("```\n")
	return b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
