package verdict

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/certstest"
	"oncegate/certs/certstest/office"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/certs/timestamp"
	"oncegate/check"
)

// Documents as other software makes them hold, whatever version of the seal.
func TestVendorDocuments(t *testing.T) {
	o := office.New(t, "client", time.Now())
	trust := trustOf(t, o, nil, nil)
	for _, c := range o.Vendors() {
		t.Run(c.Name, func(t *testing.T) {
			v := trust.Verify(artefactsOf(c)...)[0]
			if failed := named(v.Steps); v.Kind != Document || failed != nil || len(v.Signatures) == 0 || v.Signatures[0].USCC != office.USCC {
				t.Errorf("%s %+v\n%+v", v.Kind, v.Signatures, v.Steps)
			}
		})
	}
}

// sealedValue takes the signature value and the file that it is over out of a document.
func sealedValue(t *testing.T, pkg []byte) (value, xml, esl []byte) {
	t.Helper()
	office.Edit(t, pkg, func(name string, data []byte) []byte {
		switch {
		case strings.HasSuffix(name, "SignedValue.dat"):
			value = data
		case strings.HasSuffix(name, "Signature.xml"):
			xml = data
		case strings.HasSuffix(name, "Seal.esl"):
			esl = data
		}
		return data
	})
	return value, xml, esl
}

// Every kind is known by its bytes, and holds alone or with what it is about.
func TestKinds(t *testing.T) {
	o := office.New(t, "client", time.Now())
	trust := trustOf(t, o, nil, nil)
	content, now := []byte("what is signed"), func() time.Time { return o.Signed }
	message := func(c cms.Config) []byte {
		c.Now = now
		der, err := cms.Sign(t.Context(), c, content, o.Identity)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	token, err := o.Stamps.Stamp(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := tsa.MarshalResponse(timestamp.Response{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	refusal, err := tsa.MarshalResponse(timestamp.Response{Refusal: &timestamp.Refusal{Status: 2, Failure: timestamp.BadRequest}})
	if err != nil {
		t.Fatal(err)
	}
	doc := o.License()
	value, xml, esl := sealedValue(t, doc)
	parsed, err := seal.ParseSignature(value)
	if err != nil {
		t.Fatal(err)
	}
	onValue, err := o.Stamps.Stamp(t.Context(), parsed.Signature)
	if err != nil {
		t.Fatal(err)
	}
	crl := o.Revoked(nil, time.Time{})
	block, _ := pem.Decode(crl)
	old := certstest.At(t, "client", o.Now.AddDate(0, 0, -7))
	for _, x := range []struct {
		name  string
		kind  Kind
		files []string // the artefact, and content beside it
		open  string   // a step that cannot be checked
		fails string   // a step that fails
	}{
		{"a message", SignedMessage, []string{string(message(cms.Config{}))}, "", ""},
		{"a message of RFC 5652", SignedMessage, []string{string(message(cms.Config{Dialect: cms.RFC}))}, "", ""},
		{"a bare message", SignedMessage, []string{string(message(cms.Config{Bare: true}))}, "", ""},
		{"a message as PEM", SignedMessage, []string{string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message(cms.Config{})}))}, "", ""},
		{"a detached message", SignedMessage, []string{string(message(cms.Config{Detached: true})), string(content)}, "", ""},
		{"a detached bare message", SignedMessage, []string{string(message(cms.Config{Detached: true, Bare: true})), string(content)}, "", ""},
		{"a detached message alone", SignedMessage, []string{string(message(cms.Config{Detached: true}))}, "cms-digest", ""},
		{"a detached bare message alone", SignedMessage, []string{string(message(cms.Config{Detached: true, Bare: true}))}, "cms-signature", ""},
		{"a detached message over something else", SignedMessage, []string{string(message(cms.Config{Detached: true})), "something else"}, "", "cms-digest"},
		{"a detached bare message over something else", SignedMessage, []string{string(message(cms.Config{Detached: true, Bare: true})), "something else"}, "", "cms-signature"},
		{"a detached message over a picture", SignedMessage, []string{string(message(cms.Config{Detached: true})), "%PDF-1.7 something else"}, "", "cms-digest"},
		{"a seal", Seal, []string{string(esl)}, "", ""},
		{"a seal, changed", Seal, []string{strings.Replace(string(esl), "示例市", "示例乡", 1)}, "", seal.StepMade},
		{"a seal's signature", SealSignature, []string{string(value), string(xml)}, "", ""},
		{"a seal's signature alone", SealSignature, []string{string(value)}, seal.StepDataHash, ""},
		{"a seal's signature over something else", SealSignature, []string{string(value), "<x/>"}, "", seal.StepDataHash},
		{"a token", TimeStamp, []string{string(token), string(content)}, "", ""},
		{"a reply", TimeStamp, []string{string(reply), string(content)}, "", ""},
		{"a token alone", TimeStamp, []string{string(token)}, timestamp.StepImprint, ""},
		{"a token over something else", TimeStamp, []string{string(token), "something else"}, "", timestamp.StepImprint},
		{"a token over the signature in a document", TimeStamp, []string{string(onValue), string(doc)}, "", ""},
		{"a refusal", TimeStamp, []string{string(refusal)}, "", timestamp.StepParse},
		{"a revocation list", Revocations, []string{string(crl)}, "", ""},
		{"a revocation list in DER", Revocations, []string{string(block.Bytes)}, "", ""},
		{"two revocation lists", Revocations, []string{string(crl) + string(o.RootList())}, "", ""},
		{"two revocation lists, one broken", Revocations, []string{string(crl) + strings.Replace(string(o.RootList()), "M", "N", 1)}, "", "list[1]/revocation-list-form"},
		{"a certificate in DER", Certificate, []string{string(o.Holder.Certificate.Raw)}, "", ""},
		{"a seal maker's certificate", Certificate, []string{string(pki.MarshalPEM(old.Intermediate.Certificate()))}, "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			var list []Artefact
			for _, f := range x.files {
				list = append(list, Artefact{"f", []byte(f)})
			}
			all := trust.Verify(list...)
			v := all[0]
			failed := named(v.Steps)
			switch {
			case v.Kind != x.kind:
				t.Fatalf("kind %s %+v", v.Kind, v.Steps)
			case x.fails == "" && failed != nil, x.fails != "" && !slices.Contains(failed, x.fails):
				t.Errorf("failed %v: %+v", failed, v.Steps)
			case x.open != "" && stepNamed(v.Steps, x.open).State != check.NotCheckable:
				t.Errorf("%+v", stepNamed(v.Steps, x.open))
			}
			if len(all) > 1 && all[1].Kind != Document && (all[1].Kind != Content || (all[1].Err() == nil) != (x.fails == "")) {
				t.Errorf("the content is %s: %+v", all[1].Kind, all[1].Steps)
			}
		})
	}
}

// A key of one purpose does not serve another: anchors for seals trust no time stamp, license or status list.
func TestAnchorsOfOnePurpose(t *testing.T) {
	o := office.New(t, "client", time.Now())
	doc := Artefact{"a.ofd", o.License()}
	cert := Artefact{"license.pem", pki.MarshalPEM(o.Identity.Chain...)}
	for _, x := range []struct {
		name                string
		members             map[string]any
		seal, stamp, issuer bool // what is trusted
	}{
		{"nothing", map[string]any{"anchors": []string{}}, false, false, false},
		{"seals", map[string]any{"anchors": []string{}, "seal_anchors": []string{"ca.pem"}}, true, false, false},
		{"time stamps", map[string]any{"anchors": []string{}, "timestamp_anchors": []string{"ca.pem"}}, false, true, false},
		{"all", nil, true, true, true},
		{"no authority between", map[string]any{"authorities": []string{}}, false, true, true}, // stamps and chains bring theirs
	} {
		t.Run(x.name, func(t *testing.T) {
			all := trustOf(t, o, x.members, nil).Verify(doc, cert)
			for name, want := range map[string]bool{"signature[0]/seal-maker-chain": x.seal, "signature[0]/timestamp-chain": x.stamp} {
				if x.name == "no authority between" {
					break // the certificate beside the document helps
				}
				if s := stepNamed(all[0].Steps, name); (s.State == check.OK) != want {
					t.Errorf("%+v", s)
				}
			}
			if s := stepNamed(all[1].Steps, "chain-now"); (s.State == check.OK) != x.issuer {
				t.Errorf("%+v", s)
			}
		})
	}
	alone := trustOf(t, o, map[string]any{"authorities": []string{}}, nil).Verify(doc)[0]
	if s := stepNamed(alone.Steps, "signature[0]/seal-signer-chain"); s.State != check.Failed {
		t.Errorf("a seal brings no authority: %+v", s)
	}
}

// A certificate of another authority serves for what the trust says, by its fingerprint, and for nothing else.
func TestForeignCertificates(t *testing.T) {
	o := office.New(t, "client", time.Now())
	signer, chain := o.Issue("elsewhere-1", "elsewhere", office.USCC, office.Name)
	doc := Artefact{"a.ofd", o.SignBy(o.Write(office.Document(o.Identifier(office.USCC))), cms.Identity{Signer: signer, Chain: chain}, cms.Config{})}
	for usage, want := range map[string]check.State{"": check.Failed, "seal": check.OK, "license": check.OK, "call": check.Failed} {
		members := map[string]any{}
		if usage != "" {
			members["certificates"] = []map[string]string{{"fingerprint": pki.Fingerprint(chain[0]), "uscc": office.USCC, "usage": usage}}
		}
		if s := stepNamed(trustOf(t, o, members, nil).Verify(doc)[0].Steps, "signature[0]/cms-usage"); s.State != want {
			t.Errorf("%q: %+v", usage, s)
		}
	}
}

// Ten years later, when every certificate has run out, what was stamped still holds with the evidence of its time.
func TestTenYearsLater(t *testing.T) {
	o := office.New(t, "client", time.Now())
	doc := Artefact{"a.ofd", o.License()}
	evidence := map[string][]byte{"evidence/sub.crl": o.Revoked(nil, time.Time{}), "evidence/root.crl": o.RootList()}
	trust := trustOf(t, o, nil, evidence)
	trust.now = func() time.Time { return o.Now.AddDate(10, 0, 0) }
	v := trust.Verify(doc)[0]
	if failed := named(v.Steps); failed != nil {
		t.Errorf("failed: %v", failed)
	}
	for _, name := range []string{"seal-signer-chain", "seal-signer-revocation", "seal-maker-revocation", "timestamp-chain", "timestamp-revocation", "seal-time"} {
		if s := stepNamed(v.Steps, "signature[0]/"+name); s.State != check.OK {
			t.Errorf("%+v", s)
		}
	}
}

// The table of [pki.SigningTime] holds for messages and seals alike: whose time it is decides what an expired or revoked certificate
// means.
func TestTimes(t *testing.T) {
	o := office.New(t, "client", time.Now())
	now := func() time.Time { return o.Signed }
	message := func(c cms.Config) Artefact {
		c.Now = now
		der, err := cms.Sign(t.Context(), c, []byte("content"), o.Identity)
		if err != nil {
			t.Fatal(err)
		}
		return Artefact{"m.p7s", der}
	}
	unstamped := o.Holder
	unstamped.TimeStamp = nil
	page := o.Write(office.Document(o.Identifier(office.USCC)))
	const ok, open, fails = check.OK, check.NotCheckable, check.Failed
	type states struct{ valid, expired, before, since check.State }
	for _, c := range []struct {
		name, step string
		what       Artefact
		by         *pki.Certificate
		want       states
	}{
		{"message, unstated", "cms-", message(cms.Config{Bare: true}), o.Identity.Chain[0], states{ok, open, fails, fails}},
		{"message, claimed", "cms-", message(cms.Config{}), o.Identity.Chain[0], states{ok, open, fails, open}},
		{"message, stamped", "cms-", message(cms.Config{TimeStamp: o.Stamps.Stamp}), o.Identity.Chain[0], states{ok, ok, fails, ok}},
		{"seal, claimed", "signature[0]/seal-signer-", Artefact{"a.ofd", o.SealBy(page, unstamped)}, o.Holder.Certificate, states{ok, open, fails, open}},
		{"seal, stamped", "signature[0]/seal-signer-", Artefact{"a.ofd", o.SealBy(page, o.Holder)}, o.Holder.Certificate, states{ok, ok, fails, ok}},
	} {
		root := Artefact{"root.crl", o.RootList()}
		list := func(at time.Time) Artefact {
			if at.IsZero() {
				return Artefact{"sub.crl", o.Revoked(nil, at)}
			}
			return Artefact{"sub.crl", o.Revoked(c.by, at)}
		}
		for _, x := range []struct {
			name, step string
			now        time.Time
			list       Artefact
			want       check.State
		}{
			{"valid", "chain", o.Now, list(time.Time{}), c.want.valid},
			{"not revoked", "revocation", o.Now, list(time.Time{}), c.want.valid},
			{"expired since", "chain", o.Now.AddDate(3, 0, 0), list(time.Time{}), c.want.expired},
			{"revoked before", "revocation", o.Now, list(o.Signed.Add(-time.Hour)), c.want.before},
			{"revoked since", "revocation", o.Now, list(o.Now.Add(-2 * time.Hour)), c.want.since},
		} {
			trust := trustOf(t, o, nil, nil)
			trust.now = func() time.Time { return x.now }
			v := trust.Verify(c.what, x.list, root)[0]
			if s := stepNamed(v.Steps, c.step+x.step); s.State != x.want || s.State != ok && s.Reason == "" {
				t.Errorf("%s, %s: %+v, want %s\n%+v", c.name, x.name, s, x.want, v.Steps)
			}
		}
	}
	// A time-stamping authority whose key was lost since proves no time any more (RFC 3161 section 4).
	stamped := message(cms.Config{TimeStamp: o.Stamps.Stamp})
	lost := Artefact{"sub.crl", o.Revoked(o.Stamps.Chain[0], o.Now.Add(-2*time.Hour))}
	trust := trustOf(t, o, nil, nil)
	v := trust.Verify(stamped, lost, Artefact{"root.crl", o.RootList()})[0]
	if s := stepNamed(v.Steps, "timestamp-revocation"); s.State != fails {
		t.Errorf("%+v", s)
	}
	trust.now = func() time.Time { return o.Now.AddDate(3, 0, 0) }
	v = trust.Verify(stamped, lost, Artefact{"root.crl", o.RootList()})[0]
	if s := stepNamed(v.Steps, "cms-chain"); s.State != open {
		t.Errorf("%+v", s)
	}
}

// Kinds are guessed from any bytes at all without harm.
func FuzzKindOf(f *testing.F) {
	o := office.New(f, "client", time.Now())
	doc := o.License()
	f.Add(doc[:200])
	f.Add([]byte("0\x80"))
	f.Add([]byte("0\x84\xff\xff\xff\xff0"))
	f.Add(o.Holder.Seal.Raw[:64])
	f.Add(o.Holder.Certificate.Raw[:64])
	f.Fuzz(func(t *testing.T, data []byte) {
		if kind := kindOf(data); kind == "" {
			t.Error("no kind")
		}
	})
}

// Signatures of OFD (type Sign) as other software writes them are read, each by the standard's text; altered copies are refused.
func TestOtherSigners(t *testing.T) {
	o := office.New(t, "client", time.Now())
	trust := trustOf(t, o, nil, nil)
	pkg := o.SignBy(o.Write(office.Document(o.Identifier(office.USCC))), o.Identity, cms.Config{Detached: true})
	_, xml, _ := sealedValue(t, pkg)
	digest, other := sm.Digest(xml), sm.Digest([]byte("other"))
	value := func(c cms.Config, content []byte) []byte {
		c.Now = func() time.Time { return o.Signed }
		der, err := cms.Sign(t.Context(), c, content, o.Identity)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, c := range []struct {
		name  string
		value []byte
		fails string
	}{
		// GM/T 0099 clause 7.2: the content is the SM3 of Signature.xml; inside or not, with attributes or without.
		{"SM3 inside", value(cms.Config{}, digest[:]), ""},
		{"SM3 inside, bare", value(cms.Config{Bare: true}, digest[:]), ""},
		{"SM3 detached", value(cms.Config{Detached: true}, digest[:]), ""},
		{"SM3 detached, bare", value(cms.Config{Detached: true, Bare: true}, digest[:]), ""},
		// PKCS#9 attributes whose messageDigest is the SM3 of Signature.xml itself, with nothing inside.
		{"messageDigest of Signature.xml", value(cms.Config{Detached: true}, xml), ""},
		{"messageDigest of Signature.xml, RFC 5652", value(cms.Config{Detached: true, Dialect: cms.RFC}, xml), ""},
		{"messageDigest of Signature.xml, pkcs7-data", value(cms.Config{Detached: true, ContentType: cms.RFC.Data()}, xml), ""},
		{"pkcs7-data inside", value(cms.Config{ContentType: cms.RFC.Data()}, digest[:]), ""},
		{"GM data in RFC 5652", value(cms.Config{Dialect: cms.RFC, ContentType: cms.GM.Data()}, digest[:]), ""},

		{"messageDigest of another file", value(cms.Config{Detached: true}, []byte("other")), "cms-digest"},
		{"SM3 of another file, detached", value(cms.Config{Detached: true}, other[:]), "cms-digest"},
		{"SM3 of another file, inside", value(cms.Config{}, other[:]), "signature-content"},
		{"Signature.xml, detached and bare", value(cms.Config{Detached: true, Bare: true}, xml), "cms-signature"}, // no standard says so
	} {
		t.Run(c.name, func(t *testing.T) {
			signed := office.Edit(t, pkg, func(name string, data []byte) []byte {
				if strings.HasSuffix(name, "SignedValue.dat") {
					return c.value
				}
				return data
			})
			v := trust.Verify(Artefact{"x.ofd", signed})[0]
			failed := strings.Join(named(v.Steps), " ")
			if c.fails == "" && failed != "" || !strings.Contains(failed, c.fails) {
				t.Errorf("failed %q, want %q\n%+v", failed, c.fails, v.Steps)
			}
			if c.fails != "" {
				return
			}
			places := []int{len(c.value) - 1} // of the signature
			for _, sum := range [][]byte{digest[:], sm3Of(digest[:])} {
				if i := bytes.Index(c.value, sum); i >= 0 {
					places = append(places, i)
				}
			}
			for _, i := range places {
				bad := bytes.Clone(c.value)
				bad[i] ^= 1
				altered := office.Edit(t, pkg, func(name string, data []byte) []byte {
					if strings.HasSuffix(name, "SignedValue.dat") {
						return bad
					}
					return data
				})
				if v := trust.Verify(Artefact{"x.ofd", altered})[0]; v.Err() == nil {
					t.Errorf("byte %d changed: %+v", i, v.Steps)
				}
			}
			altered := office.Edit(t, pkg, func(name string, data []byte) []byte {
				switch {
				case strings.HasSuffix(name, "SignedValue.dat"):
					return c.value
				case strings.HasSuffix(name, "Signature.xml"):
					return append(data, '\n')
				}
				return data
			})
			if v := trust.Verify(Artefact{"x.ofd", altered})[0]; v.Err() == nil {
				t.Errorf("another Signature.xml: %+v", v.Steps)
			}
		})
	}
}

func sm3Of(b []byte) []byte {
	d := sm.Digest(b)
	return d[:]
}

// A content is as well proven as the signature over it, and no better; a time stamp proves nobody's content.
func TestContentIsAsProvenAsItsSignature(t *testing.T) {
	o := office.New(t, "client", time.Now())
	content := []byte("%PDF-1.7 a picture that somebody signs")
	message, err := cms.Sign(t.Context(), cms.Config{Detached: true, Now: func() time.Time { return o.Signed }}, content, o.Identity)
	if err != nil {
		t.Fatal(err)
	}
	token, err := o.Stamps.Stamp(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	nobodyAsked := trustOf(t, o, nil, map[string][]byte{"evidence/sub.crl": nil, "evidence/root.crl": nil})
	for _, x := range []struct {
		name    string
		trust   *Trust
		content []byte
		by      []byte
		want    api.Verdict
	}{
		{"signed", trustOf(t, o, nil, nil), content, message, api.VerdictProven},
		{"signed by a key of which nobody was asked", nobodyAsked, content, message, api.VerdictNotProven},
		{"changed", trustOf(t, o, nil, nil), append([]byte("%PDF-1.7"), content...), message, api.VerdictRefuted},
		{"stamped", trustOf(t, o, nil, nil), content, token, ""},
	} {
		for _, order := range []bool{false, true} {
			files := []Artefact{{"content", x.content}, {"signature", x.by}}
			at := 0
			if order {
				files[0], files[1], at = files[1], files[0], 1
			}
			if v := x.trust.Verify(files...)[at]; v.Kind != Content || v.Verdict != x.want || v.Supports != (x.want == "") {
				t.Errorf("%s: %s is %q, supports %v", x.name, v.Kind, v.Verdict, v.Supports)
			}
		}
	}
}
