package seal_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/font/gofont/goregular"
	"pgregory.net/rapid"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/sheet"
)

const (
	uscc = "11330000MB0000001X"
	path = "/Doc_0/Signs/Sign_0/Signature.xml"
)

var xml = []byte("<ofd:Signature>made up</ofd:Signature>")

// A city has a seal maker, a department with a seal, and another department.
type city struct {
	*certstest.World
	tb        testing.TB
	maker     seal.Maker
	holder    seal.Holder
	spec      seal.Spec
	another   sm.Signer
	anotherCA []*pki.Certificate
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func newCity(tb testing.TB) *city {
	tb.Helper()
	c := &city{World: certstest.New(tb, "seal"), tb: tb}
	makerKey, makerChain := c.Issue("maker-1", pki.SealMaker, uscc, "示例市印章制作中心")
	signerKey, signerChain := c.Issue("dept-1", pki.Seal, uscc, "示例市市场监督管理局")
	c.another, c.anotherCA = c.Issue("dept-2", pki.Seal, uscc, "示例市公安局")
	confirm := second.New(second.Config{})
	tb.Cleanup(func() { confirm.Close() })
	c.maker = seal.Maker{Signer: makerKey, Certificate: makerChain[0], Now: at(certstest.Epoch), VerifyBoth: confirm.VerifyBoth}
	c.spec = seal.Spec{
		ID: "33000000000001", Name: "示例市市场监督管理局证照专用章",
		From: certstest.Epoch.Add(-time.Hour), To: certstest.Epoch.AddDate(1, 0, 0),
		Signers: signerChain[:1], Picture: seal.Picture{Data: dot(tb, 8), Width: 40, Height: 41},
	}
	c.holder = seal.Holder{
		Seal: c.make(c.spec), Signer: signerKey, Certificate: signerChain[0],
		Now: at(certstest.Epoch.Add(time.Minute)), VerifyBoth: confirm.VerifyBoth, TimeStamp: stamp,
	}
	return c
}

func (c *city) make(s seal.Spec) *seal.Seal {
	c.tb.Helper()
	made, err := seal.Make(c.tb.Context(), c.maker, s)
	if err != nil {
		c.tb.Fatal(err)
	}
	return made
}

func (c *city) sign() *seal.Signature {
	c.tb.Helper()
	s, err := seal.Sign(c.tb.Context(), c.holder, sm.Digest(xml), path)
	if err != nil {
		c.tb.Fatal(err)
	}
	return s
}

// expect is what a verifier with everything at hand brings.
func (c *city) expect() seal.Expect {
	hash := sm.Digest(xml)
	return seal.Expect{
		DataHash: hash[:], PropertyInfo: path, Trust: c.Trust(), Intermediates: c.Intermediate.Chain(), Now: certstest.Epoch.Add(time.Hour),
		Revocation: func(context.Context, []*pki.Certificate, pki.SigningTime) check.Step {
			return check.Step{State: check.OK}
		},
		Status:    func(context.Context, *seal.Seal, time.Time) check.Step { return check.Step{State: check.OK} },
		TimeStamp: judgeStamp,
	}
}

// stamped is when the test's time-stamping authority stamps everything.
var stamped = certstest.Epoch.Add(2 * time.Minute)

func stamp(_ context.Context, signature []byte) ([]byte, error) {
	d := sm.Digest(signature)
	return append([]byte("stamp "), d[:]...), nil
}

func judgeStamp(token, signature []byte) (time.Time, []check.Step) {
	want, _ := stamp(context.TODO(), signature)
	if !bytes.Equal(token, want) {
		return time.Time{}, []check.Step{{Name: "stamp", State: check.Failed, Reason: "of something else"}}
	}
	return stamped, []check.Step{{Name: "stamp", State: check.OK}}
}

func dot(tb testing.TB, side int) []byte { return picture(tb, side, side) }

func picture(tb testing.TB, width, height int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewAlpha(image.Rect(0, 0, width, height))); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// in names the steps of a state.
func in(state check.State, r *seal.Report) (names []string) {
	for _, s := range r.Steps {
		if s.State == state {
			names = append(names, s.Name)
		}
	}
	return names
}

// wantFailed holds a report to exactly these failed steps, each with its reason.
func wantFailed(t *testing.T, r *seal.Report, want ...string) {
	t.Helper()
	got := in(check.Failed, r)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("failed %v, want %v\n%+v", got, want, r.Steps)
	}
	for _, s := range r.Steps {
		if s.State != check.OK && s.Reason == "" {
			t.Errorf("%s is %s without a reason", s.Name, s.State)
		}
	}
}

func step(t *testing.T, r *seal.Report, name string) check.Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no step %s", name)
	return check.Step{}
}

func TestSealAndSign(t *testing.T) {
	c := newCity(t)
	s := c.sign()
	got := s.Seal
	want := &seal.Seal{
		Raw: c.holder.Seal.Raw, Signed: got.Signed, Version: 4, Vid: "oncegate", ID: "33000000000001", Type: seal.Unit,
		Name: "示例市市场监督管理局证照专用章", Signers: seal.Signers{ListType: 1, Certificates: [][]byte{c.holder.Certificate.Raw}},
		Created: certstest.Epoch, From: c.spec.From, To: c.spec.To,
		Picture:     seal.Picture{Type: "png", Data: c.spec.Picture.Data, Width: 40, Height: 41},
		Certificate: c.maker.Certificate.Raw, Algorithm: []int{1, 2, 156, 10197, 1, 501}, Signature: got.Signature,
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(seal.Seal{})); d != "" {
		t.Error(d)
	}
	hash := sm.Digest(xml)
	if s.Version != 4 || !s.Time.Equal(certstest.Epoch.Add(time.Minute)) || string(s.TimeInfo) != "20261123040100Z" ||
		!bytes.Equal(s.DataHash, hash[:]) || s.PropertyInfo != path || !bytes.Equal(s.Certificate, c.holder.Certificate.Raw) {
		t.Errorf("%+v", s)
	}
	again, err := seal.ParseSignature(s.Raw)
	if err != nil || !cmp.Equal(s, again, cmp.AllowUnexported(seal.Seal{}, seal.Signature{})) {
		t.Errorf("read again: %v", err)
	}

	r := seal.Verify(t.Context(), s.Raw, c.expect())
	names := []string{
		seal.StepForm, seal.StepValues, seal.StepDataHash, seal.StepPropertyInfo, seal.StepSignature, seal.StepMade, seal.StepListed,
		seal.StepSignerChain, seal.StepSignerUsage, seal.StepSignerRevocation, seal.StepMakerChain, seal.StepMakerUsage,
		seal.StepMakerRevocation, seal.StepPeriod, seal.StepPeriodNow, seal.StepStatus, seal.StepTime, "stamp",
	}
	if ok := in(check.OK, r); !slices.Equal(ok, names) || len(r.Steps) != len(names) {
		t.Errorf("%+v", r.Steps)
	}
	if r.Signer.Organization != "示例市市场监督管理局" || r.Signer.USCC != uscc || r.Signer.CommonName != "dept-1" ||
		r.Maker.Organization != "示例市印章制作中心" || r.Maker.Fingerprint != pki.Fingerprint(c.maker.Certificate) ||
		r.SealID != "33000000000001" || r.SealName != c.spec.Name || !r.Time.Equal(stamped) || !r.Stamped {
		t.Errorf("%+v", r)
	}
	if r := s.Seal.Verify(t.Context(), c.expect()); len(in(check.OK, r)) != 8 || len(r.Steps) != 8 {
		t.Errorf("the seal alone: %+v", r.Steps)
	}
}

// A verifier who brings nothing learns that nothing but the signatures was checked.
func TestNothingBrought(t *testing.T) {
	c := newCity(t)
	r := c.sign().Verify(t.Context(), seal.Expect{Now: certstest.Epoch.Add(time.Hour)})
	wantFailed(t, r)
	ok := []string{seal.StepForm, seal.StepValues, seal.StepSignature, seal.StepMade, seal.StepListed, seal.StepPeriod, seal.StepPeriodNow}
	if got := in(check.OK, r); !slices.Equal(got, ok) {
		t.Errorf("ok %v", got)
	}
	if len(in(check.NotCheckable, r)) != 10 || r.Stamped {
		t.Errorf("%+v", r.Steps)
	}
}

func TestUnreadable(t *testing.T) {
	r := seal.Verify(t.Context(), []byte("no DER"), seal.Expect{})
	wantFailed(t, r, seal.StepForm)
	if len(in(check.OK, r)) != 0 || len(r.Steps) != 17 {
		t.Errorf("%+v", r.Steps)
	}
}

func TestMakeRefuses(t *testing.T) {
	c := newCity(t)
	for name, x := range map[string]struct {
		change func(*seal.Maker, *seal.Spec)
		err    error
	}{
		"no id":              {func(_ *seal.Maker, s *seal.Spec) { s.ID = "" }, seal.ErrSpec},
		"chinese id":         {func(_ *seal.Maker, s *seal.Spec) { s.ID = "印" }, seal.ErrSpec},
		"no name":            {func(_ *seal.Maker, s *seal.Spec) { s.Name = "" }, seal.ErrSpec},
		"line break":         {func(_ *seal.Maker, s *seal.Spec) { s.Name = "示例\n局" }, seal.ErrSpec},
		"broken utf-8":       {func(_ *seal.Maker, s *seal.Spec) { s.Name = "\xff" }, seal.ErrSpec},
		"long name":          {func(_ *seal.Maker, s *seal.Spec) { s.Name = strings.Repeat("局", 81) }, seal.ErrSpec},
		"negative type":      {func(_ *seal.Maker, s *seal.Spec) { s.Type = -1 }, seal.ErrSpec},
		"ends before start":  {func(_ *seal.Maker, s *seal.Spec) { s.To = s.From }, seal.ErrSpec},
		"part of a second":   {func(_ *seal.Maker, s *seal.Spec) { s.From = s.From.Add(1) }, seal.ErrSpec},
		"outlives the maker": {func(m *seal.Maker, s *seal.Spec) { s.To = m.Certificate.NotAfter.Add(time.Second) }, seal.ErrSpec},
		"no signer":          {func(_ *seal.Maker, s *seal.Spec) { s.Signers = nil }, seal.ErrSpec},
		"too many signers":   {func(_ *seal.Maker, s *seal.Spec) { s.Signers = slices.Repeat(s.Signers, seal.MaxSigners+1) }, seal.ErrSpec},
		"authority signs":    {func(_ *seal.Maker, s *seal.Spec) { s.Signers = c.Intermediate.Chain() }, seal.ErrSpec},
		"odd vid":            {func(m *seal.Maker, s *seal.Spec) { m.Vid = "a b" }, seal.ErrSpec},
		"no picture":         {func(_ *seal.Maker, s *seal.Spec) { s.Picture.Data = nil }, seal.ErrPicture},
		"huge picture":       {func(_ *seal.Maker, s *seal.Spec) { s.Picture.Data = picture(t, 4097, 1) }, seal.ErrPicture},
		"flat picture":       {func(_ *seal.Maker, s *seal.Spec) { s.Picture.Height = 0 }, seal.ErrPicture},
		"picture is a GIF":   {func(_ *seal.Maker, s *seal.Spec) { s.Picture.Type = "gif" }, seal.ErrPicture},
		"another's key":      {func(m *seal.Maker, s *seal.Spec) { m.Signer = c.another }, seal.ErrKey},
		"no key":             {func(m *seal.Maker, s *seal.Spec) { m.Signer = nil }, seal.ErrKey},
		"maker has expired":  {func(m *seal.Maker, s *seal.Spec) { m.Now = at(m.Certificate.NotAfter.Add(time.Second)) }, seal.ErrPeriod},
		"voices disagree":    {func(m *seal.Maker, s *seal.Spec) { m.VerifyBoth = disagree }, second.ErrDisagree},
	} {
		m, s := c.maker, c.spec
		x.change(&m, &s)
		if made, err := seal.Make(t.Context(), m, s); !errors.Is(err, x.err) || made != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	c := newCity(t)
	broken := errors.New("no answer")
	v1, err := seal.ParseSeal(c.seal1().der())
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		change func(*seal.Holder)
		err    error
	}{
		"not listed":       {func(h *seal.Holder) { h.Signer, h.Certificate = c.another, c.anotherCA[0] }, seal.ErrNotListed},
		"another's key":    {func(h *seal.Holder) { h.Signer = c.another }, seal.ErrKey},
		"no certificate":   {func(h *seal.Holder) { h.Certificate = nil }, seal.ErrKey},
		"no seal":          {func(h *seal.Holder) { h.Seal = nil }, seal.ErrVersion},
		"old seal":         {func(h *seal.Holder) { h.Seal = v1 }, seal.ErrVersion},
		"seal has expired": {func(h *seal.Holder) { h.Now = at(c.spec.To.Add(time.Second)) }, seal.ErrPeriod},
		"signer expired":   {func(h *seal.Holder) { h.Now = at(h.Certificate.NotAfter.Add(time.Second)) }, seal.ErrPeriod},
		"voices disagree":  {func(h *seal.Holder) { h.VerifyBoth = disagree }, second.ErrDisagree},
		"no time stamp": {func(h *seal.Holder) {
			h.TimeStamp = func(context.Context, []byte) ([]byte, error) { return nil, broken }
		}, broken},
	} {
		h := c.holder
		x.change(&h)
		if s, err := seal.Sign(t.Context(), h, sm.Digest(xml), path); !errors.Is(err, x.err) || s != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, p := range []string{"", "Doc_0/Signature.xml", "/文档", "/a b"} {
		if _, err := seal.Sign(t.Context(), c.holder, sm.Digest(xml), p); !errors.Is(err, seal.ErrSpec) {
			t.Errorf("path %q: %v", p, err)
		}
	}
	c.holder.TimeStamp = func(context.Context, []byte) ([]byte, error) { return nil, nil }
	if _, err := seal.Sign(t.Context(), c.holder, sm.Digest(xml), path); err == nil {
		t.Error("an empty token is taken")
	}
}

// What is made is what is read, whatever is asked for.
func TestParseOfMake(t *testing.T) {
	c := newCity(t)
	certs := []*pki.Certificate{c.holder.Certificate, c.anotherCA[0]}
	data := dot(t, 8)
	word := rapid.StringMatching(`[!-~]{1,128}`)
	rapid.Check(t, func(t *rapid.T) {
		from := certstest.Epoch.Add(time.Duration(rapid.IntRange(-1e9, 1e9).Draw(t, "from")) * time.Second)
		c.maker.Certificate.NotAfter = from.AddDate(200, 0, 0) // the test's own copy
		s := seal.Spec{
			ID: word.Draw(t, "id"), Type: rapid.Int64Range(1, 1<<62).Draw(t, "type"),
			Name: rapid.StringMatching(`[一-龥A-Za-z（）]{1,80}`).Draw(t, "name"),
			From: from, To: from.Add(time.Duration(rapid.IntRange(1, 1e9).Draw(t, "length")) * time.Second),
			Signers: certs[:rapid.IntRange(1, 2).Draw(t, "signers")], Digests: rapid.Bool().Draw(t, "digests"),
			Picture: seal.Picture{
				Type: rapid.SampledFrom([]string{"png", "PNG"}).Draw(t, "picture"), Data: data,
				Width: rapid.Int64Range(1, 200).Draw(t, "width"), Height: rapid.Int64Range(1, 200).Draw(t, "height"),
			},
		}
		m := c.maker
		m.Vid = word.Draw(t, "vid")
		made, err := seal.Make(context.Background(), m, s)
		if err != nil {
			t.Fatal(err)
		}
		got := seal.Spec{
			ID: made.ID, Type: made.Type, Name: made.Name, From: made.From, To: made.To,
			Signers: s.Signers, Digests: made.Signers.ListType == 2, Picture: made.Picture,
		}
		if d := cmp.Diff(s, got); d != "" || made.Vid != m.Vid || !made.Created.Equal(certstest.Epoch) {
			t.Fatal(d)
		}
		if n := made.Signers.Len(); n != len(s.Signers) || !made.Signers.Has(certs[0].Raw) || made.Signers.Has(certs[1].Raw) != (n == 2) {
			t.Fatalf("signers %+v", made.Signers)
		}
	})
}

// drawn is a picture as package sheet draws it.
func drawn(tb testing.TB) seal.Picture {
	tb.Helper()
	png, err := sheet.DrawSeal(sheet.SealDrawing{Name: "EXAMPLE CITY BUREAU OF LICENSES", Font: goregular.TTF})
	if err != nil {
		tb.Fatal(err)
	}
	return seal.Picture{Data: png, Width: sheet.SealDiameter, Height: sheet.SealDiameter}
}

// The picture that is drawn is one that a seal takes.
func TestDrawnSeal(t *testing.T) {
	c := newCity(t)
	c.spec.Picture = drawn(t)
	c.holder.Seal = c.make(c.spec)
	wantFailed(t, c.sign().Verify(t.Context(), c.expect()))
}
