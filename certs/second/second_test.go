package second_test

import (
	"crypto/ecdsa"
	"errors"
	"sync"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/second"
	"oncegate/certs/sm"
)

var (
	yes   sm.VerifyFunc = func(*ecdsa.PublicKey, []byte, []byte) error { return nil }
	no    sm.VerifyFunc = func(*ecdsa.PublicKey, []byte, []byte) error { return sm.ErrBadSignature }
	other sm.VerifyFunc = func(*ecdsa.PublicKey, []byte, []byte) error { return second.ErrRejected }
)

// alarms collects disagreements.
type alarms struct {
	mu  sync.Mutex
	all []second.Disagreement
}

func (a *alarms) ring(d second.Disagreement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, d)
}

func signed(t testing.TB) (pub *ecdsa.PublicKey, message, rs []byte) {
	t.Helper()
	s := certstest.New(t, "second").Signer("k")
	message = []byte("message")
	rs, err := s.Sign(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	return s.Public(), message, rs
}

// Whatever the second verifier says, Verify's verdict is the fast verifier's, and each disagreement rings.
func TestVerdicts(t *testing.T) {
	pub, message, rs := signed(t)
	for name, c := range map[string]struct {
		fast, second sm.VerifyFunc
		err          error
		rings        int
	}{
		"both accept":        {yes, yes, nil, 0},
		"both reject":        {no, other, sm.ErrBadSignature, 0},
		"only fast accepts":  {yes, other, nil, 1},
		"only second accept": {no, yes, sm.ErrBadSignature, 1},
	} {
		var a alarms
		v := second.New(second.Config{OneIn: 1, Alarm: a.ring, Fast: c.fast, Second: c.second})
		if err := v.Verify(pub, message, rs); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		v.Close()
		if checked, dropped := v.Counts(); checked != 1 || dropped != 0 || len(a.all) != c.rings {
			t.Errorf("%s: checked %d, dropped %d, rang %d", name, checked, dropped, len(a.all))
		}
		for _, d := range a.all {
			if (d.Fast == nil) == (d.Second == nil) || d.Message != sm.DigestB64(message) || len(d.Key) != 43 {
				t.Errorf("%s: %+v", name, d)
			}
		}
		confirm := v.VerifyBoth(pub, message, rs)
		switch {
		case c.rings == 1 && !errors.Is(confirm, second.ErrDisagree):
			t.Errorf("%s: confirm %v", name, confirm)
		case c.rings == 0 && !errors.Is(confirm, c.err):
			t.Errorf("%s: confirm %v", name, confirm)
		}
		if len(a.all) != 2*c.rings {
			t.Errorf("%s: confirm did not ring", name)
		}
	}
}

func TestRealVerifiers(t *testing.T) {
	pub, message, rs := signed(t)
	v := second.New(second.Config{Alarm: func(d second.Disagreement) { t.Errorf("alarm %+v", d) }, OneIn: 1})
	defer v.Close()
	if err := errors.Join(v.Verify(pub, message, rs), v.VerifyBoth(pub, message, rs)); err != nil {
		t.Error(err)
	}
	rs[0] ^= 1
	if err := v.Verify(pub, message, rs); !errors.Is(err, sm.ErrBadSignature) {
		t.Error(err)
	}
	if err := v.VerifyBoth(pub, message, rs); !errors.Is(err, sm.ErrBadSignature) {
		t.Error(err)
	}
}

// One in N accepted signatures is checked; malformed ones never; what does not fit is dropped, not waited for.
func TestBounds(t *testing.T) {
	pub, message, rs := signed(t)
	sampled := second.New(second.Config{OneIn: 10, Fast: yes, Second: yes})
	for range 100 {
		sampled.Verify(pub, message, rs)
	}
	sampled.Close()
	if checked, dropped := sampled.Counts(); checked+dropped != 10 {
		t.Errorf("checked %d and dropped %d of 100, one in 10", checked, dropped)
	}

	hold, held := make(chan struct{}), make(chan struct{}, 100)
	slow := func(*ecdsa.PublicKey, []byte, []byte) error { held <- struct{}{}; <-hold; return second.ErrRejected }
	v := second.New(second.Config{Queue: 2, PerSecond: 5, Fast: no, Second: slow})
	v.Verify(pub, message, rs)
	<-held // the worker is busy
	for range 50 {
		v.Verify(pub, message, rs) // returns though nobody listens
	}
	if _, dropped := v.Counts(); dropped != 48 {
		t.Errorf("dropped %d, want 48", dropped)
	}
	close(hold)
	v.Close()
	v.Close()
	if err := v.Verify(pub, message, rs); !errors.Is(err, sm.ErrBadSignature) {
		t.Errorf("after Close: %v", err)
	}

	rate := second.New(second.Config{Queue: 1000, PerSecond: 1, Fast: no, Second: other})
	for range 200 {
		rate.Verify(pub, message, rs)
	}
	rate.Close()
	if checked, _ := rate.Counts(); checked > 10 {
		t.Errorf("%d rejects checked in a moment at one a second", checked)
	}

	malformed := second.New(second.Config{OneIn: 1})
	malformed.Verify(pub, message, rs[:10])
	malformed.Verify(nil, message, rs)
	malformed.Close()
	if checked, dropped := malformed.Counts(); checked+dropped != 0 {
		t.Error("malformed input was given to the second verifier")
	}
}

func TestSignerConfirms(t *testing.T) {
	w := certstest.New(t, "second")
	v := second.New(second.Config{})
	defer v.Close()
	s := v.Signer(w.Signer("k"))
	rs, err := s.Sign(t.Context(), []byte("m"))
	if err != nil || s.KeyID() != "k" || sm.Verify(s.Public(), []byte("m"), rs) != nil {
		t.Error(err)
	}
	var a alarms
	doubt := second.New(second.Config{Second: other, Alarm: a.ring})
	defer doubt.Close()
	if rs, err := doubt.Signer(w.Signer("k")).Sign(t.Context(), []byte("m")); !errors.Is(err, second.ErrDisagree) || rs != nil || len(a.all) != 1 {
		t.Errorf("%x, %v", rs, err)
	}
}

func BenchmarkCheck(b *testing.B) {
	pub, message, rs := signed(b)
	for b.Loop() {
		if err := second.Check(pub, message, rs); err != nil {
			b.Fatal(err)
		}
	}
}
