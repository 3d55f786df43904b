package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/certs/second"
	"oncegate/certs/sm"
)

var (
	vendor  = SM2Profile{KeyType: vendorKeyType, Mechanism: vendorMechanism, Input: "digest", Signature: "raw", Point: "octet-string"}
	license = Object{Label: "license"}
)

// opened is a device with its token and key, ready.
func opened(t *testing.T, change func(*Config)) (*device, *Token, *SM2Key) {
	t.Helper()
	d := newDevice(t, vendor)
	token, _, err := d.token("1234", change)
	if err != nil {
		t.Fatal(err)
	}
	k, err := token.SM2(t.Context(), "k", license, vendor)
	if err != nil {
		t.Fatal(err)
	}
	return d, token, k
}

// good signs and has both verifiers judge.
func good(t *testing.T, k *SM2Key) {
	t.Helper()
	message := []byte("message")
	rs, err := k.Sign(t.Context(), message)
	if err := errors.Join(err, sm.Verify(k.Public(), message, rs), second.Check(k.Public(), message, rs)); err != nil {
		t.Error(err)
	}
}

// Every form that a profile knows.
func TestSM2Forms(t *testing.T) {
	for _, input := range []string{"digest", "message"} {
		for _, signature := range []string{"raw", "der"} {
			for _, point := range []string{"octet-string", "uncompressed", "xy"} {
				p := SM2Profile{KeyType: vendorKeyType, Mechanism: vendorMechanism, Input: input, Signature: signature, Point: point}
				d := newDevice(t, p)
				token, _, err := d.token("1234", nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range []Object{{Label: "license"}, {ID: []byte{1}}, {Label: "license", ID: []byte{1}}} {
					k, err := token.SM2(t.Context(), "k", o, p)
					if err != nil {
						t.Fatal(err)
					}
					if k.KeyID() != "k" || !k.Public().Equal(&d.key.PublicKey) {
						t.Error("another key")
					}
					good(t, k)
				}
			}
		}
	}
	_, _, k := opened(t, nil)
	if _, err := k.Sign(t.Context(), nil); !errors.Is(err, sm.ErrEmptyMessage) {
		t.Error(err)
	}
}

// A device that does not do what the profile says costs an error, and gives no signature.
func TestSM2Lies(t *testing.T) {
	for name, lie := range map[string]func(*device) func([]byte) ([]byte, uint64){
		"ECDSA":              func(d *device) func([]byte) ([]byte, uint64) { return d.ecdsaRaw },
		"nothing":            func(*device) func([]byte) ([]byte, uint64) { return says(nil, 0) },
		"zeros":              func(*device) func([]byte) ([]byte, uint64) { return says(make([]byte, 64), 64) },
		"63 bytes":           func(*device) func([]byte) ([]byte, uint64) { return says(make([]byte, 63), 63) },
		"more than there is": func(*device) func([]byte) ([]byte, uint64) { return says(nil, 1<<40) },
	} {
		d, _, k := opened(t, nil)
		d.do(func() { d.lie = lie(d) })
		if rs, err := k.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrUnusable) || rs != nil {
			t.Errorf("%s: %x, %v", name, rs, err)
		}
		d.do(func() { d.lie = nil })
		good(t, k)
	}
	for name, c := range map[string]struct {
		point  []byte
		length uint64
	}{
		"off the curve": {append([]byte{4}, make([]byte, 64)...), 0}, "too long": {nil, 1 << 40}, "longer the second time": {nil, 60000},
		"nothing": {[]byte{}, 0}, "not told": {nil, unavailable},
	} {
		d := newDevice(t, vendor)
		d.point, d.pointLen = c.point, c.length
		token, _, err := d.token("1234", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.SM2(t.Context(), "k", license, vendor); !errors.Is(err, ErrUnusable) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func says(sig []byte, length uint64) func([]byte) ([]byte, uint64) {
	return func([]byte) ([]byte, uint64) { return sig, length }
}

// A token that is out is an error at once; back in, the next call logs in again and finds its key under the new handle.
func TestTokenTakenOut(t *testing.T) {
	d, token, k := opened(t, nil)
	good(t, k)
	for range 3 {
		d.takeOut()
		if _, err := k.Sign(t.Context(), []byte("m")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("out: %v", err)
		}
		if _, err := token.SM2(t.Context(), "k", license, vendor); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("out: %v", err)
		}
		d.putIn()
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() { good(t, k) })
		}
		wait.Wait()
	}
	if d.logins != 4 {
		t.Errorf("%d logins", d.logins)
	}
	// Another token with the same names in it is not the key that was opened.
	d.takeOut()
	other, err := sm.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.do(func() { d.key = other })
	d.putIn()
	if _, err := k.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrUnusable) {
		t.Errorf("exchanged: %v", err)
	}
}

// A session that the device closes in the middle of a call is opened again within it.
func TestSessionLost(t *testing.T) {
	d, _, k := opened(t, nil)
	for range 10 {
		d.do(func() { d.closeAll = true })
		good(t, k)
	}
	if d.logins != 11 {
		t.Errorf("%d logins", d.logins)
	}
}

// A refused PIN is given once, and never quoted.
func TestPINRefused(t *testing.T) {
	d := newDevice(t, vendor)
	if _, _, err := d.token("4711-secret", nil); !errors.Is(err, ErrPIN) || strings.Contains(err.Error(), "4711") {
		t.Error(err)
	}
	token, file, err := d.token("1234", func(c *Config) { c.Sessions = 1 })
	if err != nil {
		t.Fatal(err)
	}
	tried := d.logins
	set := func(pin string) {
		if err := os.WriteFile(file, []byte(pin), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("4711-secret")
	d.takeOut()
	d.putIn()
	for range 5 {
		if _, err := token.SM2(t.Context(), "k", license, vendor); !errors.Is(err, ErrPIN) || strings.Contains(err.Error(), "4711") {
			t.Error(err)
		}
	}
	if d.logins != tried+1 {
		t.Errorf("the wrong pin was given %d times", d.logins-tried)
	}
	set("1234\r\n")
	k, err := token.SM2(t.Context(), "k", license, vendor)
	if err != nil {
		t.Fatal(err)
	}
	good(t, k)
}

func TestPINSources(t *testing.T) {
	d := newDevice(t, vendor)
	dir := t.TempDir()
	file := func(name, pin string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(pin), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("ONCEGATE_TEST_PIN", "1234")
	t.Setenv("ONCEGATE_TEST_EMPTY", "")
	for name, c := range map[string]struct {
		Config
		ok bool
	}{
		"environment":       {Config{Label: "seals", PINEnv: "ONCEGATE_TEST_PIN"}, true},
		"by serial":         {Config{Serial: "A-1", PINEnv: "ONCEGATE_TEST_PIN"}, true},
		"by both":           {Config{Label: "seals", Serial: "A-1", PINEnv: "ONCEGATE_TEST_PIN"}, true},
		"another serial":    {Config{Label: "seals", Serial: "A-2", PINEnv: "ONCEGATE_TEST_PIN"}, false},
		"empty environment": {Config{Label: "seals", PINEnv: "ONCEGATE_TEST_EMPTY"}, false},
		"readable by all":   {Config{Label: "seals", PINFile: file("open", "1234", 0o644)}, false},
		"empty file":        {Config{Label: "seals", PINFile: file("empty", "\n", 0o600)}, false},
		"long file":         {Config{Label: "seals", PINFile: file("long", strings.Repeat("1", 300), 0o600)}, false},
		"no file":           {Config{Label: "seals", PINFile: filepath.Join(dir, "none")}, false},
		"a folder":          {Config{Label: "seals", PINFile: dir}, false},
		"both sources":      {Config{Label: "seals", PINFile: file("pin", "1234", 0o600), PINEnv: "ONCEGATE_TEST_PIN"}, false},
		"no source":         {Config{Label: "seals"}, false},
		"no token":          {Config{PINEnv: "ONCEGATE_TEST_PIN"}, false},
	} {
		token, err := d.module().Open(t.Context(), c.Config)
		if (err == nil) != c.ok || err != nil && strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			token.Close()
		}
	}
}

// A device that hangs holds its sessions and nobody else: every call returns in time, and goes on when the device does.
func TestDeviceHangs(t *testing.T) {
	d, token, k := opened(t, func(c *Config) { c.Sessions, c.Wait = 2, 150*time.Millisecond })
	hang := make(chan struct{})
	d.do(func() { d.hang = hang })
	begun := time.Now()
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			if _, err := k.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrBusy) {
				t.Errorf("hangs: %v", err)
			}
		})
	}
	wait.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Sign(ctx, []byte("m")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	d.do(func() {
		if d.most != 2 {
			t.Errorf("%d threads are in the device", d.most)
		}
		d.hang = nil
	})
	close(hang)
	first, other := <-token.pool, <-token.pool // they come back
	token.pool <- first
	token.pool <- other
	good(t, k)
}

// No more calls at a time than sessions; one, where the library cannot lock.
func TestSessionsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		noLock bool
		most   int
	}{"locks": {false, 3}, "does not lock": {true, 1}} {
		d := newDevice(t, vendor)
		d.noLock = c.noLock
		token, _, err := d.token("1234", func(c *Config) { c.Sessions = 3 })
		if err != nil {
			t.Fatal(err)
		}
		k, err := token.SM2(t.Context(), "k", license, vendor)
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for range 12 {
			wait.Go(func() {
				for range 10 {
					good(t, k)
				}
			})
		}
		wait.Wait()
		if d.most > c.most || d.signs != 120 || d.logins != 1 || len(d.sessions) > 3 {
			t.Errorf("%s: %d at a time, %d signatures, %d logins, %d sessions", name, d.most, d.signs, d.logins, len(d.sessions))
		}
		if err := token.Close(); err != nil || len(d.sessions) != 0 {
			t.Errorf("%s: %d sessions after close, %v", name, len(d.sessions), err)
		}
		if _, err := k.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDescriptions(t *testing.T) {
	d, token, _ := opened(t, nil)
	if _, err := token.SM2(t.Context(), "k", Object{}, vendor); err == nil {
		t.Error("a key without description is found")
	}
	if _, err := token.SM2(t.Context(), "k", Object{Label: "other"}, vendor); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	d.do(func() { d.twins = 1 })
	if _, err := token.SM2(t.Context(), "k", license, vendor); !errors.Is(err, ErrAmbiguous) {
		t.Error(err)
	}
	d.do(func() { d.twins = 0; d.list.fn[fnSign] = 0 })
	k, err := token.SM2(t.Context(), "k", license, vendor)
	if err != nil {
		t.Fatal(err)
	}
	want := &Error{"C_Sign", rvFunctionNotSupported}
	if _, err := k.Sign(t.Context(), []byte("m")); err == nil || !strings.Contains(err.Error(), want.Error()) {
		t.Error(err)
	}
	if text := (&Error{"C_Sign", 0x12345}).Error(); text != "C_Sign: return value 0x12345" {
		t.Error(text)
	}
}

func TestLoadRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, filepath.Join(t.TempDir(), "none.so"), "libc.so.6"} {
		if _, err := Load(path); err == nil {
			t.Errorf("%s is loaded", path)
		}
	}
}

func TestSM2ProfileText(t *testing.T) {
	p, err := ParseSM2Profile([]byte(`{"key_type": "0x80000002", "mechanism": "2147483909", "input": "digest", "signature": "raw", "point": "octet-string"}`))
	if err != nil || fmt.Sprint(p) != fmt.Sprint(vendor) {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{
		``, `{}`, `[]`, `{"key_type":"0x2"}`,
		`{"key_type":2,"mechanism":"0x1","input":"digest","signature":"raw","point":"xy"}`,
		`{"key_type":"0x2","mechanism":"0x0","input":"digest","signature":"raw","point":"xy"}`,
		`{"key_type":"0x2","mechanism":"0x1","input":"hash","signature":"raw","point":"xy"}`,
		`{"key_type":"0x2","mechanism":"0x1","input":"digest","signature":"ber","point":"xy"}`,
		`{"key_type":"0x2","mechanism":"0x1","input":"digest","signature":"raw","point":""}`,
		`{"key_type":"0x2","mechanism":"0x1","input":"digest","signature":"raw","point":"xy","pin":"1"}`,
		`{"key_type":"0x2","key_type":"0x3","mechanism":"0x1","input":"digest","signature":"raw","point":"xy"}`,
		`{"key_type":"0x20000000000000000","mechanism":"0x1","input":"digest","signature":"raw","point":"xy"}`,
	} {
		if _, err := ParseSM2Profile([]byte(bad)); err == nil {
			t.Errorf("%s is a profile", bad)
		}
	}
}
