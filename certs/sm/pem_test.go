package sm_test

import (
	"bytes"
	"errors"
	"testing"

	"oncegate/certs/sm"
)

func TestPrivatePEM(t *testing.T) {
	priv, err := sm.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sm.MarshalPrivatePEM(priv)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sm.ParsePrivatePEM(append([]byte("# a comment\n"), text...))
	if err != nil || !bytes.Equal(sm.PrivateBytes(got), sm.PrivateBytes(priv)) {
		t.Fatalf("the key did not come back: %v", err)
	}
	public, err := sm.MarshalPEM(&priv.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "no PEM": []byte("hello"), "public": public, "cut": bytes.Replace(text, []byte("M"), []byte("A"), 3),
		"P-256": []byte("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n-----END PRIVATE KEY-----\n"),
	} {
		if _, err := sm.ParsePrivatePEM(bad); !errors.Is(err, sm.ErrPrivateKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
