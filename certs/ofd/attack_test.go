package ofd_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/check"
)

// TestAttacks changes sealed licenses in every way that was thought of. Each is named by a step of its own: the steps that
// must fail are listed, and no others may.
func TestAttacks(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	const content = "Pages/Page_0/Content.xml"
	for name, test := range map[string]struct {
		pkg    []byte
		want   []string
		reason string // part of the reason of the first
	}{
		"page changed although toSign holds": {
			edit(t, pkg, replace(content, "营业执照", "营业执昭")), []string{"0:" + ofd.StepReferences}, content,
		},
		"metadata changed": {
			edit(t, pkg, replace("OFD.xml", "示例甲", "示例乙")), []string{"0:" + ofd.StepReferences}, "/OFD.xml",
		},
		"digest of the changed page set to fit": {
			edit(t, pkg, forge(t, pkg, content, "营业执照", "营业执昭")), []string{"0:seal-data-hash"}, "",
		},
		"file smuggled in": {
			edit(t, pkg, same, "Doc_0/Res/smuggled.xml", "<a/>"), []string{ofd.StepCoverage}, "/Doc_0/Res/smuggled.xml",
		},
		"file smuggled into the signature's folder": {
			edit(t, pkg, same, "Doc_0/Signs/Sign_0/Other.dat", "x"), []string{ofd.StepCoverage}, "Other.dat",
		},
		"covered file gone": {
			edit(t, pkg, without(".png")), []string{"0:" + ofd.StepMissing}, ".png",
		},
		"Seal.esl of somebody else": {
			edit(t, pkg, replace("Seal.esl", "ES0001", "ES0002")), []string{"0:" + ofd.StepSealFile}, "not the seal",
		},
		"stamp moved to another page": {
			edit(t, pkg, replace("Signature.xml", `PageRef="1"`, `PageRef="9"`)), []string{"0:seal-data-hash", "0:" + ofd.StepStamp}, "",
		},
		"SignedValue.dat gone": {
			edit(t, pkg, without("SignedValue.dat")), []string{"0:" + ofd.StepForm}, "SignedValue.dat",
		},
		"Signature.xml gone": {
			edit(t, pkg, without("Signature.xml")), []string{ofd.StepCoverage, "0:" + ofd.StepForm}, "",
		},
		"list of signatures emptied": {
			edit(t, pkg, replace("Signatures.xml", "<ofd:Signature ", "<ofd:Removed ")), []string{ofd.StepSigned}, "no signature",
		},
		"list of signatures gone": {
			edit(t, pkg, without("Signatures.xml")), []string{ofd.StepSigned}, "is not in the package",
		},
		"called a digital signature": {
			edit(t, pkg, replace("Signatures.xml", `"Seal"`, `"Sign"`)), nil, "",
		},
		"of an unknown type": {
			edit(t, pkg, replace("Signatures.xml", `"Seal"`, `"Approved"`)), []string{ofd.StepCoverage, "0:" + ofd.StepForm}, "",
		},
		"seal moved into another license": {
			edit(t, pkg, replace(".xml", "示例甲", "示例乙")), []string{"0:" + ofd.StepReferences}, "/OFD.xml",
		},
		"duplicated entry": {
			edit(t, pkg, same, "Doc_0/"+content, "<a/>"), []string{ofd.StepUnique}, content,
		},
		"entry duplicated in other letter case": {
			edit(t, pkg, same, "doc_0/pages/page_0/content.XML", "<a/>"), []string{ofd.StepUnique}, "content.XML",
		},
	} {
		r := b.verify(t, test.pkg)
		got := failures(r)
		if name == "called a digital signature" { // which of the CMS steps fails is their business
			if len(got) == 0 {
				t.Errorf("%s: holds", name)
			}
			continue
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v\n%+v", name, got, r)
			continue
		}
		steps := r.Steps
		if strings.HasPrefix(test.want[0], "0:") {
			steps = r.Signatures[0].Steps
		}
		if s := step(steps, strings.TrimPrefix(test.want[0], "0:")); !strings.Contains(s.Reason, test.reason) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// forge changes a file and sets its digest in Signature.xml to fit.
func forge(t *testing.T, pkg []byte, suffix, from, to string) func(string, []byte) []byte {
	files := unpack(t, pkg)
	old := sm.Digest(files["Doc_0/"+suffix])
	change := replace(suffix, from, to)
	now := sm.Digest(change("Doc_0/"+suffix, files["Doc_0/"+suffix]))
	return func(name string, data []byte) []byte {
		data = change(name, data)
		return replace("Signature.xml", b64(old[:]), b64(now[:]))(name, data)
	}
}

// TestSmuggledUnderForeignSignature covers a smuggled file by a signature that nobody trusts: it does not count.
func TestSmuggledUnderForeignSignature(t *testing.T) {
	b := newBureau(t)
	pkg := edit(t, b.sealed(t), same, "Doc_0/Res/smuggled.xml", "<a/>")
	stranger := newBureau(t)
	key, chain := stranger.world.Issue("stranger", pki.Call, "11110000MB2222222H", "无关单位") // not for sealing
	pkg = b.sign(t, pkg, ofd.Signing{Sign: ofd.SignWith(cms.Config{Bare: true}, cms.Identity{Signer: key, Chain: chain})})
	r := b.verify(t, pkg)
	if s := step(r.Steps, ofd.StepCoverage); s.State != check.Failed || !strings.Contains(s.Reason, "smuggled.xml") {
		t.Errorf("%+v", r)
	}
	if !holds(r.Signatures[0]) || holds(r.Signatures[1]) {
		t.Errorf("%+v", r.Signatures)
	}
	if s := step(r.Signatures[0].Steps, ofd.StepExtent); s.State != check.NotCheckable {
		t.Errorf("%+v", s)
	}
}

func holds(s ofd.Signature) bool {
	return !slices.ContainsFunc(s.Steps, func(s check.Step) bool { return s.State == check.Failed })
}

// TestSealFaults has the seal's own faults come through: outside its validity, a signer who is not on its list.
func TestSealFaults(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	late := seal.Expect{Trust: b.world.Trust(), Now: b.judges.Now.AddDate(1, 0, 0)}
	r, err := ofd.Verify(t.Context(), bytes.NewReader(pkg), int64(len(pkg)), ofd.Judges{Seal: ofd.JudgeSeal(late)})
	if err != nil {
		t.Fatal(err)
	}
	if s := step(r.Signatures[0].Steps, "seal-period-now"); s.State == check.OK {
		t.Errorf("%+v", s)
	}

	// A signer of the same department whom the seal does not list signs toSign with its own key.
	forged := b.holder
	forged.Signer, _ = b.world.Issue("other", pki.Seal, "11110000MB1111111J", "示例市市场监督管理局")
	if _, err := b.config.Sign(t.Context(), pkg, ofd.Signing{Seal: ofd.SealWith(forged), Stamps: b.sealing().Stamps}); err == nil {
		t.Error("sealed by a key that is not the listed signer's")
	}
}

// TestUnreadableValue says nothing of what was signed when the signature cannot be read.
func TestUnreadableValue(t *testing.T) {
	b := newBureau(t)
	pkg := b.sign(t, b.write(t, document(t)), ofd.Signing{Sign: ofd.SignWith(cms.Config{Bare: true}, b.signer)})
	r := b.verify(t, edit(t, pkg, replaceAll("SignedValue.dat", "not a signature")))
	if s := step(r.Signatures[0].Steps, ofd.StepContent); s.State != check.NotCheckable {
		t.Errorf("%+v", s)
	}
}

// TestSealFileMissing accepts a package without Seal.esl, as three vendors make it, and says so.
func TestSealFileMissing(t *testing.T) {
	b := newBureau(t)
	pkg := edit(t, b.sealed(t), without("Seal.esl"))
	r := b.verify(t, pkg)
	s := step(r.Signatures[0].Steps, ofd.StepSealFile)
	if failures(r) != nil || s.State != check.NotCheckable || !strings.Contains(s.Reason, "not in the package") {
		t.Errorf("%+v", r)
	}
}

// TestWithoutJudges says not checkable where nobody can judge, never ok.
func TestWithoutJudges(t *testing.T) {
	b := newBureau(t)
	pkg := b.sealed(t)
	r, err := ofd.Verify(t.Context(), bytes.NewReader(pkg), int64(len(pkg)), ofd.Judges{})
	if err != nil {
		t.Fatal(err)
	}
	if s := step(r.Signatures[0].Steps, ofd.StepContent); s.State != check.NotCheckable {
		t.Errorf("%+v", r)
	}
	unsigned := b.write(t, document(t))
	if got := failures(b.verify(t, unsigned)); !slices.Equal(got, []string{ofd.StepSigned}) {
		t.Errorf("unsigned: %v", got)
	}
}
