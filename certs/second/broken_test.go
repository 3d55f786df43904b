package second_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"oncegate/certs/second"
	"oncegate/certs/sm"
)

// brokenBuild says in a broken build what is wrong with it.
const brokenBuild = "ONCEGATE_TEST_BROKEN_BUILD"

// TestBrokenBuild builds this package anew with a fast verifier that is broken in its source, as a bug in the library's
// assembly would break it, and runs TestInBrokenBuild there.
func TestBrokenBuild(t *testing.T) {
	if os.Getenv(brokenBuild) != "" {
		return // this is the broken build
	}
	source, err := filepath.Abs("../sm/signature.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const line = "if !sm2.VerifyASN1WithSM2("
	for name, instead := range map[string]string{
		"accepts": "if false && !sm2.VerifyASN1WithSM2(",
		"rejects": "if true || !sm2.VerifyASN1WithSM2(",
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Count(text, []byte(line)) != 1 {
				t.Fatalf("%s is not where the fast verifier is", source)
			}
			dir := t.TempDir()
			broken, overlay := filepath.Join(dir, "signature.go"), filepath.Join(dir, "overlay.json")
			list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: broken}})
			if err := errors.Join(err, os.WriteFile(overlay, list, 0o600),
				os.WriteFile(broken, bytes.Replace(text, []byte(line), []byte(instead), 1), 0o600)); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-v", "-run", "^TestInBrokenBuild$", ".")
			run.Env = append(os.Environ(), brokenBuild+"="+name)
			out, err := run.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("--- PASS: TestInBrokenBuild/"+name)) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestInBrokenBuild: the alarm rings, what is to be published does not leave, and a reject stays one.
func TestInBrokenBuild(t *testing.T) {
	name := os.Getenv(brokenBuild)
	if name == "" {
		return // TestBrokenBuild runs it
	}
	t.Run(name, func(t *testing.T) {
		key, err := sm.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := sm.NewSigner("k", key, nil)
		if err != nil {
			t.Fatal(err)
		}
		message := []byte("message")
		rs, err := signer.Sign(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		if name == "accepts" {
			rs[63] ^= 1
		}
		var a alarms
		v := second.New(second.Config{OneIn: 1, Alarm: a.ring})
		fast := v.Verify(signer.Public(), message, rs)
		confirmed := v.VerifyBoth(signer.Public(), message, rs)
		published, signErr := v.Signer(signer).Sign(t.Context(), message)
		v.Close()
		rings := 3 // Verify, VerifyBoth and the signature to be published
		switch name {
		case "accepts":
			rings = 2 // the signature to be published is good, and both say so
			if fast != nil || signErr != nil {
				t.Errorf("the build is not broken: %v, %v", fast, signErr)
			}
		case "rejects":
			if !errors.Is(fast, sm.ErrBadSignature) || !errors.Is(signErr, second.ErrDisagree) || published != nil {
				t.Errorf("%v; %v and %d bytes are published", fast, signErr, len(published))
			}
		}
		if !errors.Is(confirmed, second.ErrDisagree) || len(a.all) != rings {
			t.Errorf("confirm says %v, and %d alarms rang", confirmed, len(a.all))
		}
		for _, d := range a.all {
			if (d.Fast == nil) != (name == "accepts") || (d.Second == nil) != (name == "rejects") {
				t.Errorf("%+v", d)
			}
		}
	})
}
