package ofd

import (
	"context"
	"encoding/base64"
	"errors"
	"path"
	"slices"
	"strings"

	"oncegate/sheet"
)

// Types of signatures, clause 18.2.
const (
	typeSeal = "Seal"
	typeSign = "Sign"
)

// listed is a signature as Signatures.xml lists it.
type listed struct {
	id, kind string
	path     string // of Signature.xml; empty when it is not in the package
}

// readList reads Signatures.xml.
func (p *Package) readList(ctx context.Context, b *budget) ([]listed, error) {
	if p.signatures == "" {
		return nil, nil
	}
	root, err := p.tree(ctx, p.signatures, b)
	if err != nil {
		return nil, err
	}
	var list []listed
	for s := range root.all("Signature") {
		if err := b.spend(workPerRef); err != nil {
			return nil, err
		}
		if len(list) == MaxSignatures {
			return nil, refuse(StepDocument, "the package has more than %d signatures", MaxSignatures)
		}
		l := listed{id: s.attr("ID"), kind: s.attr("Type")}
		if l.kind == "" {
			l.kind = typeSeal
		}
		l.path, err = p.locate(p.signatures, s.attr("BaseLoc"))
		if err != nil && !errors.Is(err, errMissing) {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// signed is the content of a Signature.xml.
type signed struct {
	listed
	raw         []byte
	provider    string
	checkMethod string
	references  []reference
	stamps      []stampAnnot
	sealFile    string // where Seal.esl should be; empty when none is named
	value       string // path of SignedValue.dat; empty when it is not in the package
}

// reference is one file that a signature covers.
type reference struct {
	name  string // as it stands there
	path  string // empty when it is not in the package
	value []byte // nil when it is not base64
}

// stampAnnot is where a seal shows.
type stampAnnot struct {
	page           string // ID of the page
	boundary, clip *sheet.Box
	clipped        bool // there is a Clip, readable or not
}

// readSigned reads a Signature.xml of at most limit bytes. The order of elements differs by vendor.
func (p *Package) readSigned(ctx context.Context, l listed, limit int64, b *budget) (*signed, error) {
	raw, err := p.read(ctx, l.path, limit, b)
	if err != nil {
		return nil, err
	}
	root, err := parseTree(ctx, l.path, raw, b)
	if err != nil {
		return nil, err
	}
	info := root.child("SignedInfo")
	if root.name != "Signature" || info == nil {
		return nil, refuse(StepForm, "the file %s describes no signature", quote(l.path))
	}
	s := &signed{listed: l, raw: raw, provider: provider(info.child("Provider"))}
	refs := info.child("References")
	s.checkMethod = refs.attr("CheckMethod")
	for r := range refs.all("Reference") {
		if err := b.spend(workPerRef); err != nil {
			return nil, err
		}
		ref := reference{name: r.attr("FileRef")}
		ref.path, _ = p.locate(l.path, ref.name)
		if v, err := base64.StdEncoding.DecodeString(r.value("CheckValue")); err == nil {
			ref.value = v
		}
		s.references = append(s.references, ref)
	}
	for a := range info.all("StampAnnot") {
		if err := b.spend(workPerRef); err != nil {
			return nil, err
		}
		_, clipped := a.attr("Clip"), a.attr("Clip") != ""
		s.stamps = append(s.stamps, stampAnnot{a.attr("PageRef"), parseBox(a.attr("Boundary")), parseBox(a.attr("Clip")), clipped})
	}
	if loc := info.child("Seal").value("BaseLoc"); loc != "" {
		if s.sealFile, err = p.locate(l.path, loc); err != nil {
			s.sealFile = path.Join(path.Dir(l.path), loc)
		}
	}
	s.value, _ = p.locate(l.path, root.value("SignedValue"))
	return s, nil
}

// provider names the software of a signature.
func provider(n *node) string {
	name, version := n.attr("ProviderName"), n.attr("Version")
	if company := n.attr("Company"); company != "" && company != name {
		name = strings.TrimSpace(company + " " + name)
	}
	return strings.TrimSpace(name + " " + version)
}

// wants adds the files that References name, with their method, to what has to be digested, and those that are read later. A
// method that is not known wants nothing.
func (s *signed) wants(w wants) {
	w.content[s.value], w.content[s.sealFile] = true, true
	need := w.digests
	m, known := methodOf(s.checkMethod)
	if !known {
		return
	}
	for _, r := range s.references {
		if r.path != "" && !slices.ContainsFunc(need[r.path], func(n method) bool { return n.name == m.name }) {
			need[r.path] = append(need[r.path], m)
		}
	}
}
