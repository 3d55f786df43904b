package seal_test

import (
	"context"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/check"
)

func anyFailed(r *seal.Report) bool { return len(in(check.Failed, r)) > 0 }

func wantForm(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrForm) && !errors.Is(err, seal.ErrVersion) {
		t.Fatalf("%v", err)
	}
}

// issue makes a party of the city's authority, or of another.
func issue(w *certstest.World, name, usage string) party {
	key, chain := w.Issue(name, usage, uscc, "示例")
	return party{key, chain[0]}
}

// One thing is wrong and properly signed all the same: one step says so.
func TestOneFault(t *testing.T) {
	c := newCity(t)
	elsewhere := certstest.New(t, "elsewhere")
	old := certstest.At(t, "seal", certstest.Epoch.AddDate(-3, 0, 0)) // the same keys; its certificates have expired
	fails := func(string) check.Step { return check.Step{State: check.Failed, Reason: "it was"} }
	for name, x := range map[string]struct {
		document func(*document)
		expect   func(*seal.Expect)
		want     []string
	}{
		"nothing":                 {},
		"another xml":             {expect: func(e *seal.Expect) { e.DataHash = make([]byte, 32) }, want: []string{seal.StepDataHash}},
		"empty digest":            {expect: func(e *seal.Expect) { e.DataHash = []byte{} }, want: []string{seal.StepDataHash}},
		"another path":            {expect: func(e *seal.Expect) { e.PropertyInfo = "/x" }, want: []string{seal.StepPropertyInfo}},
		"signer not listed":       {document: func(d *document) { d.signer = party{c.another, c.anotherCA[0]} }, want: []string{seal.StepListed}},
		"nobody listed":           {document: func(d *document) { d.listed = nil }, want: []string{seal.StepListed}},
		"signer's key is foreign": {document: func(d *document) { d.signer.key = c.another }, want: []string{seal.StepSignature}},
		"maker's key is foreign":  {document: func(d *document) { d.maker.key = c.another }, want: []string{seal.StepMade}},
		"signer of elsewhere": {document: func(d *document) {
			d.signer = issue(elsewhere, "dept-1", pki.Seal)
			d.listed = []*pki.Certificate{d.signer.cert}
		}, want: []string{seal.StepSignerChain}},
		"maker of elsewhere": {document: func(d *document) { d.maker = issue(elsewhere, "maker-1", pki.SealMaker) }, want: []string{seal.StepMakerChain}},
		"signer's certificate is none": {document: func(d *document) {
			d.signer.cert = &pki.Certificate{Raw: []byte("none")}
			d.listed = []*pki.Certificate{d.signer.cert}
		}, want: []string{seal.StepSignature, seal.StepSignerChain}},
		"maker's certificate is none": {document: func(d *document) { d.maker.cert = &pki.Certificate{Raw: []byte{}} },
			want: []string{seal.StepMade, seal.StepMakerChain}},
		"signer is a caller": {document: func(d *document) {
			d.signer = issue(c.World, "call-1", pki.Call)
			d.listed = []*pki.Certificate{d.signer.cert}
		}, want: []string{seal.StepSignerUsage}},
		"department makes seals": {document: func(d *document) { d.maker = d.signer }, want: []string{seal.StepMakerUsage}},
		"maker without a usage":  {document: func(d *document) { d.maker = issue(c.World, "maker-2", "制章") }, want: []string{seal.StepMakerUsage}},
		"signer had expired": {document: func(d *document) {
			d.signer = issue(old, "dept-3", pki.Seal)
			d.listed = []*pki.Certificate{d.signer.cert}
		}, expect: func(e *seal.Expect) {
			e.Trust, e.Intermediates = trust(t, c.World, old), append(e.Intermediates, old.Intermediate.Chain()...)
		},
			want: []string{seal.StepSignerChain}},
		"seal had expired": {document: func(d *document) { d.to = certstest.Epoch }, want: []string{seal.StepPeriod}},
		"seal too early": {document: func(d *document) { d.from = certstest.Epoch.Add(30 * time.Minute) },
			want: []string{seal.StepPeriod}},
		"another algorithm":         {document: func(d *document) { d.algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} }, want: []string{seal.StepSignature, seal.StepMade}},
		"time after its time stamp": {document: func(d *document) { d.time = stamped.Add(9 * time.Hour) }, want: []string{seal.StepTime}},
		"time in the future": {document: func(d *document) { d.time, d.token = certstest.Epoch.Add(10*time.Hour), false },
			want: []string{seal.StepTime}},
		"revoked": {expect: func(e *seal.Expect) {
			e.Revocation = func(context.Context, []*pki.Certificate, pki.SigningTime) check.Step { return fails("") }
		}, want: []string{seal.StepSignerRevocation, seal.StepMakerRevocation}},
		"withdrawn": {expect: func(e *seal.Expect) {
			e.Status = func(context.Context, *seal.Seal, time.Time) check.Step { return fails("") }
		}, want: []string{seal.StepStatus}},
		"voices disagree": {expect: func(e *seal.Expect) { e.Verify = disagree }, want: []string{seal.StepSignature, seal.StepMade}},
		"other digests":   {document: func(d *document) { d.list = []any{digest("SM3", make([]byte, 32))} }, want: []string{seal.StepListed}},
	} {
		t.Run(name, func(t *testing.T) {
			d, e := c.document(4), c.expect()
			if x.document != nil {
				x.document(&d)
			}
			if x.expect != nil {
				x.expect(&e)
			}
			wantFailed(t, seal.Verify(t.Context(), d.signed(), e), x.want...)
		})
	}
}

func trust(t *testing.T, worlds ...*certstest.World) *pki.Verifier {
	t.Helper()
	var roots []*pki.Certificate
	for _, w := range worlds {
		roots = append(roots, w.Root.Certificate())
	}
	v, err := pki.NewVerifier(pki.Trust{Anchors: roots})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func exts(t testing.TB, list ...derExt) []byte { return der(t, list) }

func digest(name string, value []byte) any {
	return struct {
		Type  string `asn1:"printable"`
		Value []byte
	}{name, value}
}

// What others write and the standard does not say is accepted, kept and named.
func TestOddities(t *testing.T) {
	c := newCity(t)
	plain := exts(t, derExt{asn1.ObjectIdentifier{1, 2, 156, 7}, false, []byte("tax")})
	written := []byte{0x30, 12, 0x30, 10, 0x06, 2, 0x2a, 3, 0x01, 1, 0, 0x04, 1, 'x'} // FALSE in full
	self := sm.Digest(c.holder.Certificate.Raw)
	for name, x := range map[string]struct {
		change func(*document)
		step   string
		says   string // in the reason; empty: the step is ok
	}{
		"type 15":                  {func(d *document) { d.typ = 15 }, seal.StepValues, "seal type 15"},
		"type 3":                   {func(d *document) { d.typ = 3 }, seal.StepValues, "seal type 3"},
		"personal":                 {func(d *document) { d.typ = seal.Person }, seal.StepValues, ""},
		"picture PNG":              {func(d *document) { d.picture = "PNG" }, seal.StepValues, ""},
		"picture ofd":              {func(d *document) { d.picture = "ofd" }, seal.StepValues, `picture type "ofd"`},
		"no extensions":            {func(d *document) { d.sealExt = exts(t) }, seal.StepValues, ""},
		"seal extension":           {func(d *document) { d.sealExt = plain }, seal.StepValues, "extension 1.2.156.7"},
		"seal extension, tagged":   {func(d *document) { d.sealExt = explicit(plain) }, seal.StepValues, "extension 1.2.156.7"},
		"signature extension":      {func(d *document) { d.signExt = explicit(plain) }, seal.StepValues, "extension 1.2.156.7"},
		"signature extension bare": {func(d *document) { d.signExt = plain }, seal.StepValues, "extension 1.2.156.7"},
		"critical extension, seal": {func(d *document) {
			d.sealExt = exts(t, derExt{asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5}})
		}, seal.StepValues, "critical extension 1.2.3"},
		"critical extension, sign": {func(d *document) {
			d.signExt = explicit(exts(t, derExt{asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5}}))
		}, seal.StepValues, "critical extension 1.2.3"},
		"bare r‖s":                 {func(d *document) { d.bare = true }, seal.StepSignature, "bare"},
		"FALSE in full":            {func(d *document) { d.sealExt = written }, seal.StepValues, "extension 1.2.3"},
		"digests":                  {func(d *document) { d.list = []any{digest("SM3", self[:])} }, seal.StepListed, ""},
		"digests, named otherwise": {func(d *document) { d.list = []any{digest("dianzi", self[:])} }, seal.StepListed, ""},
		"digests, unknown":         {func(d *document) { d.list = []any{digest("SHA1", make([]byte, 20))} }, seal.StepListed, "unknown"},
		"digest type":              {func(d *document) { d.list = []any{digest("dianzi", self[:])} }, seal.StepValues, `digest type "dianzi"`},
		"misprinted algorithm":     {func(d *document) { d.algorithm = asn1.ObjectIdentifier{1, 2, 156, 10197, 501} }, seal.StepMade, "misprint"},
		"Beijing time called UTC":  {func(d *document) { d.time = certstest.Epoch.Add(8 * time.Hour) }, seal.StepTime, "time zone"},
		"signer of another kind": {func(d *document) {
			d.signer = issue(c.World, "elsewhere", "签章组")
			d.listed = []*pki.Certificate{d.signer.cert}
		}, seal.StepSignerUsage, "the maker lists it"},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.document(4)
			x.change(&d)
			r := seal.Verify(t.Context(), d.signed(), c.expect())
			wantFailed(t, r)
			s := step(t, r, x.step)
			if (s.Reason == "") != (x.says == "") || !strings.Contains(s.Reason, x.says) {
				t.Errorf("%+v", s)
			}
		})
	}
	d := c.document(4)
	d.sealExt, d.signExt = plain, explicit(plain)
	s, err := seal.ParseSignature(d.signed())
	if err != nil || len(s.Extensions) != 1 || len(s.Seal.Extensions) != 1 || string(s.Extensions[0].Value) != "tax" {
		t.Errorf("%v, %+v", err, s)
	}
}

func TestVersion1(t *testing.T) {
	c := newCity(t)
	instant := certstest.Epoch.Add(time.Minute)
	element := der(t, struct{ T time.Time }{instant})[2:]
	for name, x := range map[string]struct {
		info  []byte
		known bool
	}{
		"BIT STRING of UTCTime":   {der(t, bits(element)), true},
		"BIT STRING of text":      {der(t, bits([]byte("20261123040100Z"))), true},
		"BIT STRING of UTC text":  {der(t, bits([]byte("261123040100Z"))), true},
		"OCTET STRING":            {der(t, element), true},
		"UTCTime":                 {element, true},
		"BIT STRING of RFC 3339":  {der(t, bits([]byte("2026-11-23T04:01:00.000Z"))), true},
		"BIT STRING of something": {der(t, bits([]byte{0x30, 0})), false},
		"empty BIT STRING":        {der(t, bits(nil)), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.document(1)
			d.timeInfo = x.info
			e := c.expect()
			r := seal.Verify(t.Context(), d.signed(), e)
			wantFailed(t, r)
			if s := r.Signature; s.Version != 1 || s.Seal.Version != 1 || s.Time.Equal(instant) != x.known || s.Time.IsZero() == x.known {
				t.Errorf("%+v", s)
			}
			if r.Time.IsZero() == x.known || r.Stamped || step(t, r, seal.StepTime).State != check.NotCheckable {
				t.Errorf("%+v", r)
			}
			e.Now = certstest.Epoch.AddDate(5, 0, 0)
			r = seal.Verify(t.Context(), d.signed(), e)
			if x.known {
				wantFailed(t, r) // it was all valid then
			} else if step(t, r, seal.StepSignerChain).State != check.NotCheckable || step(t, r, seal.StepPeriod).State != check.NotCheckable {
				t.Errorf("expired now, unknown then: %+v", r.Steps)
			}
		})
	}
}

// A seal in use lists a text in place of a certificate: it is read, and nobody is on its list.
func TestPlaceholder(t *testing.T) {
	c := newCity(t)
	d := c.document(1)
	d.placeholder = true
	r := seal.Verify(t.Context(), d.signed(), c.expect())
	wantFailed(t, r, seal.StepListed)
	if s := step(t, r, seal.StepValues); !strings.Contains(s.Reason, "no certificate") {
		t.Errorf("%+v", s)
	}
}

func TestVersion5(t *testing.T) {
	c := newCity(t)
	d := c.document(5)
	r := seal.Verify(t.Context(), d.signed(), c.expect())
	wantFailed(t, r)
	if r.Signature.Version != 5 || r.Signature.Seal.TimeStamp != nil {
		t.Errorf("%+v", r.Signature)
	}
	s, err := seal.ParseSeal(d.der())
	if err != nil {
		t.Fatal(err)
	}
	d.sealToken, _ = stamp(t.Context(), s.Signature)
	r = seal.Verify(t.Context(), d.signed(), c.expect())
	wantFailed(t, r)
	if step(t, r, seal.StepMadeTime).State != check.OK {
		t.Errorf("%+v", r.Steps)
	}
	late := d
	late.created = certstest.Epoch.AddDate(0, 0, 1)
	s, _ = seal.ParseSeal(late.der())
	late.sealToken, _ = stamp(t.Context(), s.Signature)
	wantFailed(t, seal.Verify(t.Context(), late.signed(), c.expect()), seal.StepMadeTime)
	d.sealToken = []byte("another")
	wantFailed(t, seal.Verify(t.Context(), d.signed(), c.expect()), seal.StepMadeTime)
	d.version, d.sealToken = 4, []byte("not in version 4")
	if _, err := seal.ParseSeal(d.der()); !errors.Is(err, seal.ErrForm) {
		t.Error(err)
	}
	d.version, d.sealToken = 3, nil
	if _, err := seal.ParseSeal(d.der()); !errors.Is(err, seal.ErrVersion) {
		t.Error(err)
	}
}

// A seal that has expired since stays good for what a time stamp proves to be older, and for nothing else.
func TestExpiredSince(t *testing.T) {
	c := newCity(t)
	e := c.expect()
	e.Now = certstest.Epoch.AddDate(10, 0, 0)
	wantFailed(t, c.holder.Seal.Verify(t.Context(), e), seal.StepPeriod, seal.StepMakerChain)
	r := c.sign().Verify(t.Context(), e)
	wantFailed(t, r)
	if s := step(t, r, seal.StepPeriodNow); s.State != check.OK || s.Reason == "" {
		t.Errorf("%+v", s)
	}
	c.holder.TimeStamp = nil
	r = c.sign().Verify(t.Context(), e)
	wantFailed(t, r)
	for _, name := range []string{seal.StepPeriod, seal.StepPeriodNow, seal.StepSignerChain, seal.StepMakerChain} {
		if s := step(t, r, name); s.State != check.NotCheckable || s.Reason == "" {
			t.Errorf("%+v", s)
		}
	}
	e.Now = certstest.Epoch.Add(2 * time.Hour)
	for _, name := range []string{seal.StepPeriod, seal.StepPeriodNow, seal.StepSignerChain, seal.StepMakerChain} {
		if s := step(t, c.sign().Verify(t.Context(), e), name); s.State != check.OK {
			t.Errorf("valid then and now: %+v", s)
		}
	}
}

// A check that the budget does not allow leaves its step open, and fails nothing.
func TestBudget(t *testing.T) {
	c := newCity(t)
	s := c.sign()
	all := sm.NewBudget(64, 1<<20, nil)
	e := c.expect()
	root := e.Trust
	e.Verify = all.Within(t.Context())
	e.Trust = root.With(e.Verify)
	wantFailed(t, s.Verify(t.Context(), e))
	if all.Made() < 2 || all.Made() > 6 { // signer, maker, two leaves and their authority
		t.Errorf("%d signature checks", all.Made())
	}
	e = c.expect()
	none := sm.NewBudget(0, 0, nil)
	e.Verify = none.Within(t.Context())
	e.Trust = trust(t, c.World).With(e.Verify)
	r := s.Verify(t.Context(), e)
	wantFailed(t, r)
	for _, name := range []string{seal.StepSignature, seal.StepMade, seal.StepSignerChain, seal.StepMakerChain} {
		if s := step(t, r, name); s.State != check.NotCheckable || !strings.Contains(s.Reason, sm.ErrBudget.Error()) {
			t.Errorf("%+v", s)
		}
	}
}

// The hooks are given the right things.
func TestHooks(t *testing.T) {
	c := newCity(t)
	s := c.sign()
	e := c.expect()
	var asked []string
	e.Revocation = func(_ context.Context, chain []*pki.Certificate, at pki.SigningTime) check.Step {
		asked = append(asked, chain[0].Subject.CommonName)
		if len(chain) != 2 || !chain[1].Equal(c.Intermediate.Certificate()) || !at.At.Equal(stamped) || at.Source != pki.Stamped {
			t.Errorf("chain of %d at %v", len(chain), at)
		}
		return check.Step{Name: "x", State: check.NotCheckable, Reason: "offline"}
	}
	e.Status = func(_ context.Context, got *seal.Seal, at time.Time) check.Step {
		if got != s.Seal || !at.Equal(stamped) {
			t.Errorf("status of %v at %v", got.ID, at)
		}
		return check.Step{State: check.OK}
	}
	// Others' authorities in the pool do no harm.
	for i := range 20 {
		e.Intermediates = append(e.Intermediates, certstest.New(t, string(rune('a'+i))).Intermediate.Certificate())
	}
	r := s.Verify(t.Context(), e)
	wantFailed(t, r)
	if strings.Join(asked, " ") != "dept-1 maker-1" || step(t, r, seal.StepMakerRevocation).Reason != "offline" {
		t.Errorf("asked %v, %+v", asked, r.Steps)
	}
	voices := second.New(second.Config{})
	defer voices.Close()
	e.Verify = voices.VerifyBoth
	wantFailed(t, s.Verify(t.Context(), e))
}
