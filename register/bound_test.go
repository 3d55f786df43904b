package register_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/canonical"
	"oncegate/license"
	"oncegate/register"
)

// A bound is what audit asks of a change that commits with a record.
type bound interface {
	Bound(commit func(r []byte, v any) (string, error), digest func(data []byte) string) (any, error)
}

// sm3Text stands in for SM3: 43 characters that tell the length of what is digested.
func sm3Text(data []byte) string { return strings.Repeat(string('A'+rune(len(data)%26)), 42) + "A" }

func boundOf(t testing.TB, change bound) []byte {
	t.Helper()
	form, err := change.Bound(nil, sm3Text)
	if err != nil {
		t.Fatalf("bind %T: %v", change, err)
	}
	text, err := canonical.Marshal(form)
	if err != nil {
		t.Fatalf("write the bound form of %T: %v", change, err)
	}
	return text
}

var boundAt = time.Date(2026, 11, 23, 2, 0, 0, 123_000_000, time.UTC)

func boundVersion() register.Version {
	return register.Version{
		Subject: [32]byte{1}, Type: "business-license", Issuer: "11100000MB0143028R", Serial: "S", Number: 2, Identifier: "1.2.S.2", Content: [32]byte{2}, JWT: "a.b.c",
		KeyID: "k", Signed: boundAt, Status: license.Suspended, Stated: license.Valid, StatusAt: boundAt, Ordered: license.Suspended, OrderedAt: boundAt, List: "1", Slot: 7,
	}
}

// TestBound compares the bound forms byte by byte: what a record binds can never be written otherwise.
func TestBound(t *testing.T) {
	zeros := strings.Repeat("A", 41)
	for _, c := range []struct {
		change bound
		want   string
	}{
		{register.Issue{Version: boundVersion(), Supersedes: "1.2.S.1"},
			`{"change":"register.issue","content":"Ag` + zeros + `","identifier":"1.2.S.2","issuer":"11100000MB0143028R","jwt":"` + strings.Repeat("F", 42) + `A","key_id":"k","list":"1","number":2,` +
				`"ordered":"suspended","ordered_at":1795399200123000,"serial":"S","signed":1795399200123000,"slot":7,"stated":"valid","status":"suspended","status_at":1795399200123000,"subject":"AQ` +
				zeros + `","supersedes":"1.2.S.1","type":"business-license"}`},
		{register.SetStatus{Identifier: "i", From: license.Valid, To: license.Revoked, At: boundAt}, `{"change":"register.set_status","identifier":"i","stated":"revoked","status_at":1795399200123000}`},
		{register.Order{Identifier: "i", From: license.Suspended, At: boundAt}, `{"change":"register.order","identifier":"i","ordered":"","ordered_at":1795399200123000}`},
		{register.KeepOriginal{Original: register.Original{Identifier: "i", Digest: [32]byte{1}, Sealed: []byte("sealed"), Made: boundAt, Expires: boundAt}},
			`{"change":"register.keep_original","digest":"AQ` + zeros + `","expires":1795399200123000,"identifier":"i","made":1795399200123000}`},
	} {
		if diff := cmp.Diff(c.want, string(boundOf(t, c.change))); diff != "" {
			t.Errorf("%T (-want +got):\n%s", c.change, diff)
		}
	}
	if form, err := (register.Keep{}).Bound(nil, sm3Text); form != nil || err != nil {
		t.Errorf("a kept copy binds %v, %v", form, err)
	}
}

// randomChange makes any change of this room that binds something.
func randomChange(r *rand.Rand) bound {
	text := func() string { return []string{"", "a", "文", "\x00\"\\", "𝄞"}[r.IntN(5)] + fmt.Sprint(r.IntN(9)) }
	status := func() license.Status { return append(license.Statuses(), "")[r.IntN(len(license.Statuses())+1)] }
	moment := func() time.Time {
		if r.IntN(4) == 0 {
			return time.Time{}
		}
		return time.UnixMicro(r.Int64N(1 << 52)).UTC()
	}
	bytes := func() (b [32]byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	switch r.IntN(4) {
	case 0:
		return register.Issue{Version: register.Version{
			Subject: bytes(), Type: text(), Issuer: text(), Serial: text(), Number: 1 + r.IntN(9), Identifier: text(), Content: bytes(), JWT: text(), KeyID: text(), Signed: moment(),
			Status: status(), Stated: status(), StatusAt: moment(), Ordered: status(), OrderedAt: moment(), List: text(), Slot: r.IntN(9),
		}, Supersedes: text()}
	case 1:
		return register.SetStatus{Identifier: text(), From: status(), To: status(), At: moment()}
	case 2:
		return register.Order{Identifier: text(), From: status(), To: status(), At: moment()}
	}
	return register.KeepOriginal{Original: register.Original{Identifier: text(), Digest: bytes(), Made: moment(), Expires: moment()}}
}

// What is bound is read back the same.
func TestBoundRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		change := randomChange(r)
		form, err := change.Bound(nil, sm3Text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := register.ParseBound(boundOf(t, change))
		if diff := cmp.Diff(form, got); diff != "" || err != nil {
			t.Fatalf("%+v: %v (-want +got):\n%s", change, err, diff)
		}
	}
}

func TestParseBoundIsStrict(t *testing.T) {
	good := string(boundOf(t, register.Issue{Version: boundVersion()}))
	for name, raw := range map[string]string{
		"nothing":        "",
		"null":           "null",
		"no change":      `{"identifier":"i"}`,
		"unknown change": strings.Replace(good, "register.issue", "register.forget", 1),
		"another room's": strings.Replace(good, "register.issue", "cases.register", 1),
		"unknown member": strings.Replace(good, `"slot":7`, `"slot":7,"tier":1`, 1),
		"missing member": strings.Replace(good, `"slot":7,`, ``, 1),
		"other order":    strings.Replace(good, `"number":2,"ordered":"suspended"`, `"ordered":"suspended","number":2`, 1),
		"fraction":       strings.Replace(good, `"slot":7`, `"slot":7e0`, 1),
		"negative slot":  strings.Replace(good, `"slot":7`, `"slot":-7`, 1),
		"number 0":       strings.Replace(good, `"number":2`, `"number":0`, 1),
		"subject":        strings.Replace(good, `"subject":"AQ`, `"subject":"`, 1),
		"stray bits":     strings.Replace(good, strings.Repeat("F", 42)+"A", strings.Repeat("F", 42)+"B", 1),
		"blank":          " " + good,
	} {
		if raw == good {
			t.Fatalf("%s changes nothing", name)
		}
		if got, err := register.ParseBound([]byte(raw)); got != nil || !errors.Is(err, register.ErrBound) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A form that is read is written as the same bytes.
func FuzzParseBound(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(boundOf(f, randomChange(r)))
	}
	f.Add([]byte(`{"change":"register.order"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		form, err := register.ParseBound(raw)
		if err != nil {
			if !errors.Is(err, register.ErrBound) || form != nil {
				t.Errorf("%v, %v", form, err)
			}
			return
		}
		if again, err := canonical.Marshal(form); err != nil || string(again) != string(raw) {
			t.Errorf("read %q, wrote %q, %v", raw, again, err)
		}
	})
}
