package ofd

import (
	"encoding/base64"
	"errors"
	"path"
	"strconv"
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
func (p *Package) readList() ([]listed, error) {
	if p.signatures == "" {
		return nil, nil
	}
	root, err := p.tree(p.signatures)
	if err != nil {
		return nil, err
	}
	var list []listed
	for s := range root.all("Signature") {
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
func (p *Package) readSigned(l listed, limit int64) (*signed, error) {
	raw, err := p.read(l.path, limit)
	if err != nil {
		return nil, err
	}
	root, err := parseTree(l.path, raw)
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
		ref := reference{name: r.attr("FileRef")}
		ref.path, _ = p.locate(l.path, ref.name)
		if v, err := base64.StdEncoding.DecodeString(r.value("CheckValue")); err == nil {
			ref.value = v
		}
		s.references = append(s.references, ref)
	}
	for a := range info.all("StampAnnot") {
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

// parseBox reads ST_Box: four numbers with spaces between; nil when it is none.
func parseBox(s string) *sheet.Box {
	parts := strings.Fields(s)
	if len(parts) != 4 {
		return nil
	}
	var v [4]float64
	for i, part := range parts {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil || f != f || f > 1e6 || f < -1e6 {
			return nil
		}
		v[i] = f
	}
	return &sheet.Box{X: v[0], Y: v[1], W: v[2], H: v[3]}
}

// paths are the files that References name, each once.
func (s *signed) paths() (paths []string) {
	seen := make(map[string]bool, len(s.references))
	for _, r := range s.references {
		if r.path != "" && !seen[r.path] {
			seen[r.path] = true
			paths = append(paths, r.path)
		}
	}
	return paths
}

// own says whether the file is part of the signature: bound by the value itself, or judged apart.
func (s *signed) own(file string) bool {
	return file == s.path || file == s.value || s.kind == typeSeal && file == s.sealFile
}
