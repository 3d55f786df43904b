package verdict

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/certs/certstest/ocsp"
	"oncegate/certs/certstest/office"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/jws"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/certs/statuslist"
	"oncegate/check"
)

// A costly request takes as much to verify as a stranger can make it, in less than 1 MiB.
type costly struct {
	name    string
	trust   *Trust
	request api.VerifyRequest
}

// costliest makes one or more of every kind.
func costliest(tb testing.TB, o *office.Office) (list []costly) {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	now := func() time.Time { return o.Signed }
	trust, run := trustOf(tb, o, nil, nil), newRun(tb)
	ring := o.NewRing("示例", 200)
	authorities := pki.MarshalPEM(ring.Authorities...)
	file := func(name string, data []byte, beside ...[]byte) {
		d := costly{name: name, trust: trust}
		size := len(data)
		d.request.Document = base64.RawURLEncoding.EncodeToString(data)
		for _, b := range beside {
			d.request.Beside = append(d.request.Beside, base64.RawURLEncoding.EncodeToString(b))
			size += len(b)
		}
		if size > 1<<20 {
			tb.Fatalf("%s has %d bytes", name, size)
		}
		list = append(list, d)
	}
	signers := func(n int) (ids []cms.Identity) {
		for i := range n {
			key := o.Signer(fmt.Sprint("costly-", i))
			leaf := ring.NewLeaf(fmt.Sprint("costly-", i), pki.License, key)
			ids = append(ids, cms.Identity{Signer: key, Chain: append([]*pki.Certificate{leaf}, ring.Authorities[i%100:i%100+2]...)})
		}
		return ids
	}
	message := func(c cms.Config, content []byte, ids ...cms.Identity) []byte {
		c.Now = now
		der, err := cms.Sign(tb.Context(), c, content, ids...)
		must(err)
		return der
	}
	lists := func(n, entries int) (out [][]byte) {
		for i := range n {
			out = append(out, ring.List(int64(i), entries))
		}
		return out
	}
	pems := func(lists [][]byte) []byte {
		var out []byte
		for _, l := range lists {
			out = append(out, pki.MarshalCRL(l)...)
		}
		return out
	}

	// Messages: many signers, long contents, many certificates, much evidence.
	file("message, 16 signers below a ring", message(cms.Config{}, []byte("content"), signers(16)...), authorities)
	file("message, 16 bare signers of 900 kB", message(cms.Config{Bare: true}, make([]byte, 900<<10), signers(16)...))
	file("message, 16 signers of 900 kB", message(cms.Config{}, make([]byte, 900<<10), signers(16)...))
	file("message, 16 signers, 16 lists inside", message(cms.Config{CRLs: lists(16, 1000)}, []byte("content"), signers(16)...), authorities)
	var contents [][]byte
	for i := range 15 {
		contents = append(contents, bytes.Repeat([]byte{byte(i)}, 60<<10))
	}
	file("detached message, 16 signers, 15 contents", message(cms.Config{Detached: true}, []byte("another"), signers(16)...), contents...)
	file("detached message, 16 bare signers, 15 contents", message(cms.Config{Detached: true, Bare: true}, []byte("another"), signers(16)...), contents...)

	// Revocation lists and answers: of many authorities of one name.
	file("list of 900 kB, 200 authorities", ring.List(1, 20000), authorities)
	file("16 lists, 200 authorities", pems(lists(16, 100)), authorities)
	file("16 × 15 lists beside a message", message(cms.Config{}, []byte("content"), signers(16)...),
		slices.Insert(slices.Repeat([][]byte{pems(lists(15, 30))}, 14), 0, authorities)...)
	genuine, _ := pem.Decode(o.Revoked(nil, time.Time{}))
	forged := func(from int) [][]byte {
		var out [][]byte
		for i := range 15 {
			bad := bytes.Clone(genuine.Bytes)
			bad[len(bad)-1] ^= byte(from + i)
			bad[len(bad)-2] ^= 1
			out = append(out, bad)
		}
		return out
	}
	var beside [][]byte
	for i := range 15 {
		beside = append(beside, pems(forged(15*i)))
	}
	file("15 × 15 forged lists beside a message of a known signer", message(cms.Config{}, []byte("content"), slices.Repeat([]cms.Identity{o.Identity}, 16)...), beside...)
	responder := &ocsp.Responder{Issuer: ring.Authorities[0], Signer: ring.Key(), Now: now, Lookup: func(context.Context, *big.Int) (revocation.Status, error) {
		return revocation.Status{State: revocation.Good}, nil
	}}
	id, err := revocation.NewCertID(ring.Authorities[0], ring.Leaf.SerialNumber, revocation.SM3)
	must(err)
	query, err := revocation.Request{IDs: []revocation.CertID{id}}.Marshal()
	must(err)
	reply := httptest.NewRecorder()
	responder.ServeHTTP(reply, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(query)))
	file("answer of a responder, 200 authorities", reply.Body.Bytes(), authorities)

	// Time stamps.
	tsa, err := tsa.New(tsa.Config{Signer: ring.Signer, Chain: append([]*pki.Certificate{
		ring.NewStamper(ring.Signer)}, ring.Authorities[:60]...), Policy: asn1.ObjectIdentifier{1, 2, 3}, Now: now})
	must(err)
	token, err := tsa.Stamp(tb.Context(), []byte("content"))
	must(err)
	file("time stamp with 61 certificates", token, authorities, []byte("content"))

	// Seals.
	var listed []*pki.Certificate
	for i := range seal.MaxSigners {
		listed = append(listed, ring.NewLeaf(fmt.Sprint("listed-", i), pki.Seal, ring.Signer))
	}
	must(err)
	maker := seal.Maker{Signer: ring.Signer, Certificate: ring.NewLeaf("maker", pki.SealMaker, ring.Signer), Now: now}
	large, err := seal.Make(tb.Context(), maker, seal.Spec{
		ID: "ES1", Name: "示例", From: o.Signed, To: o.Now.AddDate(1, 0, 0), Signers: listed, Picture: o.Holder.Seal.Picture,
	})
	must(err)
	gathered := revocation.Gather(lists(16, 500), nil)
	sealed, err := seal.Sign(tb.Context(), seal.Holder{Seal: large, Signer: ring.Signer, Certificate: listed[255], Now: now, Evidence: gathered},
		sm.Digest([]byte("content")), "/Doc_0/Signs/Sign_0/Signature.xml")
	must(err)
	file("seal of 256 signers", large.Raw, authorities)
	file("seal signature with 16 lists inside", sealed.Raw, authorities, []byte("content"))

	// Licenses, alone and in an answer, and status lists.
	payload := func(i int) []byte {
		b, err := json.Marshal(map[string]any{
			"iss": office.USCC, "id": o.Identifier(office.USCC), "ver": 1, "type": "x", "iat": o.Signed.Unix() + int64(i), "_sd_alg": "sm3",
			"status": map[string]any{"status_list": map[string]any{"idx": i, "uri": "https://x.example/1"}},
		})
		must(err)
		return b
	}
	licenseOf := func(i, above int) string {
		key := o.Signer(fmt.Sprint("costly-license-", i%40))
		chain := []*pki.Certificate{ring.NewLeaf("license", pki.License, key)}
		for j := range above {
			chain = append(chain, ring.Authorities[(i+j)%200])
		}
		jwt, err := jws.Sign(tb.Context(), key, jws.Header{Typ: LicenseType, X5C: pki.DER(chain...)}, payload(i))
		must(err)
		return jwt + "~"
	}
	list = append(list, costly{"license below a ring", trust, api.VerifyRequest{License: licenseOf(0, 5)}})
	var receipt api.Receipt
	must(json.Unmarshal(run.receipt(), &receipt))
	answer := written{Operation: "licenses.query", Time: api.At(o.Signed).String()}
	for i := range maxLicenses {
		answer.Licenses = append(answer.Licenses, map[string]any{"license": licenseOf(i, 5), "fields": map[string]string{}})
	}
	for i := range 80 {
		answer.Materials = append(answer.Materials, map[string]any{"license": licenseOf(1000+i, 5), "state": "met"})
	}
	text, err := json.Marshal(answer)
	must(err)
	many := written{Operation: "cases.check", Time: api.At(o.Signed).String()}
	for i := range maxMaterials {
		many.Materials = append(many.Materials, map[string]any{"license": licenseOf(i, 0), "state": "met"})
	}
	long, err := json.Marshal(many)
	must(err)
	list = append(list, costly{"answer with 512 licenses", run.trust, api.VerifyRequest{Answer: jsontext.Value(long), Receipt: receipt}})
	known := written{Operation: "cases.check", Time: api.At(o.Signed).String()}
	for i := range 280 {
		jwt, err := jws.Sign(tb.Context(), run.issuer, jws.Header{Typ: LicenseType, X5C: pki.DER(append(slices.Clip(run.chain), ring.Authorities[i%200], ring.Authorities[i/200])...)}, payload(i))
		must(err)
		known.Materials = append(known.Materials, map[string]any{"license": jwt + "~", "state": "met"})
	}
	wide, err := json.Marshal(known)
	must(err)
	if len(wide) > 1<<20 {
		tb.Fatal(len(wide))
	}
	list = append(list, costly{"answer with 280 licenses of a known issuer", run.trust, api.VerifyRequest{Answer: jsontext.Value(wide), Receipt: receipt}})
	list = append(list, costly{"answer with 144 licenses", run.trust, api.VerifyRequest{Answer: jsontext.Value(text), Receipt: receipt}})
	answer.Licenses, answer.Materials = nil, nil
	for range 300000 {
		answer.Licenses = append(answer.Licenses, map[string]any{})
	}
	text, err = json.Marshal(answer)
	must(err)
	list = append(list, costly{"answer with 300,000 empty licenses", run.trust, api.VerifyRequest{Answer: jsontext.Value(text), Receipt: receipt}})
	list = append(list, costly{"answer of 125,000 names", run.trust, api.VerifyRequest{Answer: manyNames(125000), Receipt: receipt}})
	status, err := statuslist.New(8, 1<<17)
	must(err)
	compact, err := statuslist.Sign(tb.Context(), ring.Signer, jws.Header{X5C: pki.DER(append([]*pki.Certificate{ring.Leaf}, ring.Authorities[:5]...)...)},
		statuslist.Token{Subject: "https://x.example/1", IssuedAt: o.Signed, Expires: o.Now.AddDate(1, 0, 0), List: status})
	must(err)
	file("status list", []byte(compact), authorities)

	// A document with many signatures.
	pkg := o.Write(office.Document(o.Identifier(office.USCC)))
	for i := range 40 {
		pkg = o.SignBy(pkg, cms.Identity{Signer: o.Signer(fmt.Sprint("costly-", i)), Chain: append([]*pki.Certificate{
			ring.NewLeaf("x", pki.License, o.Signer(fmt.Sprint("costly-", i)))}, ring.Authorities[:20]...)}, cms.Config{Now: now})
	}
	file("document with 40 signatures below a ring", pkg, authorities)
	third := o.Write(office.Document(o.Identifier(office.USCC)))
	for i := range 5 {
		third = o.SignBy(third, cms.Identity{Signer: o.Signer(fmt.Sprint("costly-", i)), Chain: []*pki.Certificate{
			ring.NewLeaf("x", pki.License, o.Signer(fmt.Sprint("costly-", i)))}}, cms.Config{Now: now})
	}
	file("time stamp beside 15 documents", token, slices.Repeat([][]byte{third}, 15)...)
	values := []byte{0x30, 0x83, 0x12, 0x4f, 0x80} // 400,000 integers, which compress well, but not too well
	random := o.Stream("integers")
	var one [1]byte
	for i := range 400000 {
		if i%256 == 0 {
			_, err := random.Read(one[:])
			must(err)
		}
		values = append(values, 2, 1, one[0]&0x7f)
	}
	heavy := message(cms.Config{CRLs: [][]byte{values}}, []byte("content"), signers(1)...)
	pkg = o.Write(office.Document(o.Identifier(office.USCC)))
	for range 60 {
		pkg = o.SignBy(pkg, o.Identity, cms.Config{Now: now})
	}
	pkg = office.Edit(tb, pkg, func(name string, data []byte) []byte {
		if strings.HasSuffix(name, "SignedValue.dat") {
			return heavy
		}
		return data
	})
	file("document with 60 signatures of 400,000 values", pkg)
	return list
}

// written is an answer to send.
type written struct {
	Operation string           `json:"operation"`
	Time      string           `json:"time"`
	Licenses  []map[string]any `json:"licenses"`
	Materials []map[string]any `json:"materials"`
}

// manyNames is a list of objects that have so many members together, in almost eight bytes each, and as many each as they may.
func manyNames(n int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := []byte(`{"objects":[`)
	for i := range n {
		switch {
		case i == 0:
			b = append(b, '{')
		case i%api.MaxMembers == 0:
			b = append(b, "},{"...)
		default:
			b = append(b, ',')
		}
		i = i * 7919 % (64 * 64 * 64) // in no order
		b = fmt.Appendf(b, `"%c%c%c":1`, letters[i%64], letters[i/64%64], letters[i/64/64])
	}
	return append(b, "}]}"...)
}

// That the names of an object are all different is found out once for each answer. Comparing them takes a table of the names: the bytes
// that are allocated tell how often, whatever else the machine does.
func TestNamesAreComparedOnce(t *testing.T) {
	r := newRun(t)
	answer := manyNames(125000)
	document := slices.Concat([]byte(`{"answer":`), answer, []byte(`,"receipt":`), r.receipt(), []byte(`}`))
	cost := func(f func()) uint64 {
		f() // pools and caches are filled
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	once := cost(func() {
		if err := json.Unmarshal(answer, new(jsontext.Value)); err != nil {
			t.Fatal(err)
		}
	})
	all := cost(func() {
		v := r.trust.Verify(Artefact{Data: document})[0]
		if s := stepNamed(v.Steps, "answer-digest"); v.Verdict != api.VerdictRefuted || s.State != check.Failed {
			t.Fatalf("%s: %+v", v.Verdict, s)
		}
	})
	t.Logf("reading it once allocates %d KiB, verifying it %d", once>>10, all>>10)
	if all > 4*once {
		t.Errorf("verifying an answer allocates %d KiB, reading it once %d", all>>10, once>>10)
	}
}

// A call makes at most 64 signature checks, whatever it brings, and none once the caller has hung up. What was not checked is
// said to be so.
func TestCallBudget(t *testing.T) {
	o := office.New(t, "cost", time.Now())
	checks := 0
	var onCheck func()
	for _, d := range costliest(t, o) {
		t.Run(d.name, func(t *testing.T) {
			trust := *d.trust
			trust.verifySM2 = func(pub *ecdsa.PublicKey, m, rs []byte) error {
				if checks++; onCheck != nil {
					onCheck()
				}
				return sm.Verify(pub, m, rs)
			}
			checks, onCheck = 0, nil
			a, err := trust.VerifyRequest(t.Context(), d.request)
			if err != nil || len(a.Steps) == 0 {
				t.Fatal(err)
			}
			if checks > callChecks {
				t.Errorf("%d signature checks", checks)
			}
			for _, s := range a.Steps {
				if s.State == api.StepState(check.Failed) && (strings.Contains(s.Reason, sm.ErrBudget.Error()) || strings.Contains(s.Reason, sm.ErrInterrupted.Error())) {
					t.Errorf("%s failed: %s", s.Name, s.Reason)
				}
			}
			if checks < 2 {
				return
			}
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			checks, onCheck = 0, hangUp
			if _, err := trust.VerifyRequest(ctx, d.request); !errors.Is(err, context.Canceled) || checks != 1 {
				t.Errorf("after the caller has hung up: %d more signature checks, %v", checks-1, err)
			}
		})
	}
}

// Files given at the command have a budget each: one that is costly takes nothing from the others, and the same question about
// two of them is asked once.
func TestFilesBudget(t *testing.T) {
	o := office.New(t, "files", time.Now())
	trust := trustOf(t, o, nil, nil)
	checks := 0
	trust.verifySM2 = func(pub *ecdsa.PublicKey, m, rs []byte) error { checks++; return sm.Verify(pub, m, rs) }
	ring := o.NewRing("示例", 10)
	var ids []cms.Identity
	for i := range 16 {
		key := o.Signer(fmt.Sprint("costly-", i))
		ids = append(ids, cms.Identity{Signer: key, Chain: append([]*pki.Certificate{ring.NewLeaf("x", pki.License, key)}, ring.Authorities...)})
	}
	message, err := cms.Sign(t.Context(), cms.Config{}, []byte("content"), ids...)
	if err != nil {
		t.Fatal(err)
	}
	all := []Artefact{{"message", message}}
	doc := o.License()
	for i := range 100 {
		all = append(all, Artefact{fmt.Sprint(i), doc})
	}
	results := trust.Verify(all...)
	if !slices.ContainsFunc(results[0].Steps, func(s check.Step) bool {
		return s.State == check.NotCheckable && strings.Contains(s.Reason, sm.ErrBudget.Error())
	}) {
		t.Errorf("the message was verified to its end: %+v", results[0].Steps)
	}
	for _, v := range results[1:] {
		if s := stepNamed(v.Steps, "signature[0]/seal-signature"); v.Err() != nil || s.State != check.OK {
			t.Fatalf("%v: %+v", v.Err(), s)
		}
	}
	if checks > 64+16 {
		t.Errorf("%d signature checks", checks)
	}
}

// Where no signature may be checked, nothing is refuted for it and nothing that rests on one is ok, whatever the kind.
func TestNothingChecked(t *testing.T) {
	o, r := office.New(t, "nothing", time.Now()), newRun(t)
	none := func(*ecdsa.PublicKey, []byte, []byte) error { return sm.ErrBudget }
	all := map[*Trust][]Artefact{r.trust: r.artefacts()}
	trust := trustOf(t, o, nil, nil)
	token, err := o.Stamps.Stamp(t.Context(), []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	message, err := cms.Sign(t.Context(), cms.Config{TimeStamp: o.Stamps.Stamp}, []byte("content"), o.Identity)
	if err != nil {
		t.Fatal(err)
	}
	value, _, esl := sealedValue(t, o.License())
	all[trust] = []Artefact{
		{"license.ofd", o.License()}, {"seal.esl", esl}, {"SignedValue.dat", value}, {"token.tsr", token}, {"message.p7s", message},
		{"sub.crl", o.Revoked(o.Identity.Chain[0], o.Signed)}, {"leaf.pem", pki.MarshalPEM(o.Identity.Chain...)},
	}
	proofs := []string{"signature", "-chain", "chain-now", "chain-at-signing", "second-voice", "seal-made", "-authority", "revocation"}
	for trust, artefacts := range all {
		trust.verifySM2 = none
		for _, v := range trust.Verify(artefacts...) {
			for _, s := range v.Steps {
				rests := slices.ContainsFunc(proofs, func(p string) bool { return strings.HasSuffix(s.Name, p) }) && !strings.HasPrefix(s.Name, "checkpoint")
				if strings.Contains(s.Reason, sm.ErrBudget.Error()) && s.State != check.NotCheckable || rests && s.State == check.OK {
					t.Errorf("%s: %+v", v.Name, s)
				}
				if s.State == check.Failed {
					t.Errorf("%s: %+v", v.Name, s)
				}
			}
		}
	}
}

// BenchmarkCostliest reports the processor time of the costliest requests. None may cost more than 200 ms.
func BenchmarkCostliest(b *testing.B) {
	o := office.New(b, "cost", time.Now())
	for _, d := range costliest(b, o) {
		b.Run(strings.ReplaceAll(d.name, " ", "-"), func(b *testing.B) {
			trust := d.trust
			var spent time.Duration
			n := 0
			for b.Loop() {
				n++
				before := processorTime()
				if _, err := trust.VerifyRequest(b.Context(), d.request); err != nil {
					b.Fatal(err)
				}
				spent += processorTime() - before
			}
			b.ReportMetric(float64(spent)/float64(n)/1e6, "cpu-ms")
			b.ReportMetric(float64(len(d.request.Document)+len(d.request.Answer)+len(d.request.License)), "bytes")
		})
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A verification that is broken off proves nothing and refutes nothing, wherever it was: an answer whose licenses were not looked at
// is not proven.
func TestBrokenOff(t *testing.T) {
	r := newRun(t)
	o := office.New(t, "client", time.Now())
	files := append(r.artefacts(), Artefact{"license.ofd", o.License()})
	ended, end := context.WithCancel(t.Context())
	end()
	for _, v := range r.trust.VerifyContext(ended, files...) {
		if v.Verdict == api.VerdictProven || v.Verdict == api.VerdictRefuted || stepNamed(v.Steps, "complete").State != check.NotCheckable {
			t.Errorf("%s (%s) is %q: %+v", v.Name, v.Kind, v.Verdict, v.Steps)
		}
	}
	for n := range 40 { // ends while it is looked at
		ctx := &endsAfter{Context: t.Context(), left: n}
		for _, v := range r.trust.VerifyContext(ctx, answerOf(r)) {
			if ctx.ended && v.Verdict == api.VerdictProven {
				t.Errorf("ended at the look %d: %+v", n, v)
			}
		}
	}
}

// endsAfter is a context that ends after it was asked so many times.
type endsAfter struct {
	context.Context
	left  int
	ended bool
}

func (c *endsAfter) Err() error {
	if c.left--; c.left < 0 {
		c.ended = true
		return context.Canceled
	}
	return nil
}
