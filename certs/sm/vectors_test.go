package sm_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"oncegate/certs/second"
	"oncegate/certs/sm"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// GB/T 32905-2016 appendix A.
func TestSM3Vectors(t *testing.T) {
	for msg, want := range map[string]string{
		"abc": "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
		"abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd": "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
	} {
		whole := sm.Digest([]byte(msg))
		parts := sm.Digest([]byte(msg[:1]), nil, []byte(msg[1:]))
		if got := hex.EncodeToString(whole[:]); got != want || parts != whole {
			t.Errorf("SM3(%q) = %s, in parts %x, want %s", msg, got, parts, want)
		}
	}
}

func TestHMACVectors(t *testing.T) {
	var v struct {
		Tests []struct {
			ID            int
			Key, Msg, Tag string
			Valid         bool
		}
	}
	load(t, "hmac_sm3.json", &v)
	if len(v.Tests) < 170 {
		t.Fatalf("only %d cases", len(v.Tests))
	}
	for _, c := range v.Tests {
		tag, msg := unhex(t, c.Tag), unhex(t, c.Msg)
		got := sm.HMAC(unhex(t, c.Key), msg[:len(msg)/2], msg[len(msg)/2:])
		if bytes.Equal(got[:len(tag)], tag) != c.Valid {
			t.Errorf("case %d: tag equal is %v, want %v", c.ID, !c.Valid, c.Valid)
		}
	}
}

// GB/T 32918.5-2017 appendix A.2: message "message digest".
const (
	exampleD  = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
	exampleX  = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
	exampleY  = "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	exampleZA = "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
	exampleE  = "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
	exampleRS = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3" +
		"b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)

func TestSM2Vector(t *testing.T) {
	priv, err := sm.ParsePrivateKey(unhex(t, exampleD))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := sm.ParsePoint(unhex(t, "04"+exampleX+exampleY))
	if err != nil {
		t.Fatal(err)
	}
	if !pub.Equal(&priv.PublicKey) {
		t.Error("the private scalar does not give the public point")
	}
	message := []byte("message digest")
	za, err := sm2.CalculateZA(pub, []byte(sm.UserID))
	if err != nil || hex.EncodeToString(za) != exampleZA {
		t.Errorf("ZA = %x, %v", za, err)
	}
	if e := sm.Digest(za, message); hex.EncodeToString(e[:]) != exampleE {
		t.Errorf("e = %x", e)
	}
	rs := unhex(t, exampleRS)
	if err := sm.Verify(pub, message, rs); err != nil {
		t.Errorf("fast verifier: %v", err)
	}
	if err := second.Check(pub, message, rs); err != nil {
		t.Errorf("second verifier: %v", err)
	}
}

func TestOpenSSLVectors(t *testing.T) {
	var v struct {
		Public string
		Verify []struct {
			E     string
			DER   string `json:"signature_der"`
			Valid bool
		}
	}
	load(t, "sm2_verify.json", &v)
	pub, err := sm.ParsePoint(unhex(t, v.Public))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range v.Verify {
		rs, err := sm.DERToRaw(unhex(t, c.DER))
		if err != nil {
			t.Fatal(err)
		}
		der, err := sm.RawToDER(rs)
		if err != nil || !bytes.Equal(der, unhex(t, c.DER)) {
			t.Errorf("case %d: DER does not survive r‖s: %v", i, err)
		}
		// These cases sign e itself, without ZA.
		e := unhex(t, c.E)
		if got := sm2.VerifyASN1(pub, e, der); got != c.Valid {
			t.Errorf("case %d: verify = %v", i, got)
		}
		e[0] ^= 1
		if sm2.VerifyASN1(pub, e, der) {
			t.Errorf("case %d: accepts another e", i)
		}
	}
}
