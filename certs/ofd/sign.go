package ofd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"oncegate/certs/sm"
)

// methodSM3 and methodSM2 name the digest of References and the signature (SM2 with SM3).
const (
	methodSM3 = "1.2.156.10197.1.401"
	methodSM2 = "1.2.156.10197.1.501"
)

// Sign adds a signature over every file of pkg but Signatures.xml. Signatures that are there stay valid; the new one
// covers them too. ErrSigning says that s does not fit, a *Refusal that pkg cannot be read.
func (c Config) Sign(ctx context.Context, pkg []byte, s Signing) ([]byte, error) {
	p, err := Open(ctx, bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		return nil, err
	}
	if err := checkSigning(p, s); err != nil {
		return nil, err
	}
	b := p.left.clone()
	list, err := p.readList(ctx, b)
	switch {
	case err != nil:
		return nil, err
	case len(list) == MaxSignatures:
		return nil, fmt.Errorf("%w: it has %d signatures", ErrSigning, len(list))
	case p.find(fileList) != nil:
		return nil, fmt.Errorf("%w: its list of files (GM/T 0099) would not hold any more", ErrSigning)
	}
	g := signer{Config: c, p: p, s: s, list: list, budget: b}
	return g.sign(ctx)
}

// checkSigning checks s against the package.
func checkSigning(p *Package, s Signing) error {
	switch {
	case (s.Seal == nil) == (s.Sign == nil):
		return fmt.Errorf("%w: a signing is by seal or by signature", ErrSigning)
	case p.signaturesLost:
		return fmt.Errorf("%w: its list of signatures is not there", ErrSigning)
	case s.Seal != nil && len(s.Stamps) == 0:
		return fmt.Errorf("%w: the seal shows on no page", ErrSigning)
	}
	for _, stamp := range s.Stamps {
		if stamp.Page < 0 || stamp.Page >= len(p.pages) {
			return fmt.Errorf("%w: there is no page %d", ErrSigning, stamp.Page)
		}
		if !(stamp.Box.W > 0 && stamp.Box.H > 0) {
			return fmt.Errorf("%w: a stamp has no area", ErrSigning)
		}
	}
	return nil
}

// signer is the work of one [Config.Sign].
type signer struct {
	Config
	p    *Package
	s    Signing
	list []listed

	budget *budget
	folder string // of the new signature
	root   []byte // OFD.xml
}

// sign makes the files of the signature and puts them behind those that are there.
func (g *signer) sign(ctx context.Context) ([]byte, error) {
	listFile, err := g.prepare(ctx)
	if err != nil {
		return nil, err
	}
	description, err := g.description(ctx, listFile)
	if err != nil {
		return nil, err
	}
	at := g.folder + "Signature.xml"
	digest := sm.Digest(description)
	var value, esl []byte
	if g.s.Seal != nil {
		value, esl, err = g.s.Seal(ctx, digest, at)
	} else {
		value, err = g.s.Sign(ctx, digest[:])
	}
	if err != nil {
		return nil, fmt.Errorf("sign ofd package: %w", err)
	}

	a := newArchive()
	for _, e := range g.p.byPlace() {
		switch "/" + e.name {
		case listFile:
			continue
		case rootFile:
			a.add(rootFile, g.root, nil)
			continue
		}
		packed := make([]byte, e.packed)
		err := readAt(g.p.r, packed, e.data)
		a.raw(e, packed, err)
	}
	a.add(at, description, nil)
	a.add(g.folder+"SignedValue.dat", value, nil)
	if g.s.Seal != nil {
		a.add(g.folder+"Seal.esl", esl, nil)
	}
	list, err := g.signatures()
	a.add(listFile, list, err)
	return a.bytes()
}

// prepare finds a folder for the signature and has OFD.xml lead to the list of signatures, the path of which it returns.
func (g *signer) prepare(ctx context.Context) (string, error) {
	root, err := g.p.read(ctx, rootFile, MaxXML, g.budget)
	if err != nil {
		return "", err
	}
	g.root = root
	listFile := cmp.Or(g.p.signatures, path.Join(path.Dir(g.p.document), "Signs", "Signatures.xml"))
	if g.p.signatures == "" {
		if g.p.find(listFile) != nil {
			return "", fmt.Errorf("%w: it has a list of signatures that OFD.xml does not lead to", ErrSigning)
		}
		g.root = insertSignaturesElement(root, g.p.rootEnd, prefixOf(g.p.root), listFile)
	}
	for n := len(g.list); ; n++ {
		g.folder = fmt.Sprintf("%s/Sign_%d/", path.Dir(listFile), n)
		if !slices.ContainsFunc(g.p.entries, func(e entry) bool {
			return strings.HasPrefix(strings.ToLower("/"+e.name), strings.ToLower(g.folder))
		}) {
			return listFile, nil
		}
	}
}

// insertSignaturesElement writes the location of the list into OFD.xml, at the end of DocBody, and leaves every other byte as it is.
func insertSignaturesElement(root []byte, end int64, prefix, listFile string) []byte {
	element := fmt.Sprintf("<%sSignatures>%s</%sSignatures>", prefix, strings.TrimPrefix(listFile, "/"), prefix)
	return slices.Concat(root[:end], []byte(element), root[end:])
}

// prefixOf is the prefix of an element with its colon.
func prefixOf(n *node) string {
	if n.prefix == "" {
		return ""
	}
	return n.prefix + ":"
}

// description writes Signature.xml, clause 18.2.
func (g *signer) description(ctx context.Context, listFile string) ([]byte, error) {
	m := newMarkup("Signature")
	m.begin("SignedInfo")
	m.empty("Provider", "ProviderName", g.creator(), "Version", g.version(), "Company", g.creator())
	m.text("SignatureMethod", methodSM2)
	m.text("SignatureDateTime", g.now().UTC().Format("20060102150405Z"))
	m.begin("References", "CheckMethod", methodSM3)
	sm3, _ := methodOf(methodSM3)
	want := wants{digests: make(map[string][]method)}
	for _, f := range g.p.Files() {
		want.digests[f] = []method{sm3}
	}
	sums, err := g.p.contents(ctx, want, g.budget)
	if err != nil {
		return nil, err
	}
	for _, f := range g.p.Files() {
		if f == listFile {
			continue
		}
		sum := sums[digestKey{f, sm3.name}]
		if f == rootFile {
			own := sm.Digest(g.root)
			sum = own[:]
		}
		m.begin("Reference", "FileRef", f)
		m.text("CheckValue", base64.StdEncoding.EncodeToString(sum))
		m.end()
	}
	m.end()
	for i, stamp := range g.s.Stamps {
		clip := ""
		if stamp.Clip != nil {
			clip = m.box(*stamp.Clip)
		}
		m.empty("StampAnnot", "ID", fmt.Sprintf("s%03d", len(g.list)+1+i), "PageRef", g.p.pages[stamp.Page].id,
			"Boundary", m.box(stamp.Box), "Clip", clip)
	}
	if g.s.Seal != nil {
		m.begin("Seal")
		m.text("BaseLoc", g.folder+"Seal.esl")
		m.end()
	}
	m.end()
	m.text("SignedValue", g.folder+"SignedValue.dat")
	return m.bytes()
}

// signatures writes Signatures.xml, clause 18.1: the signatures that are there and the new one.
func (g *signer) signatures() ([]byte, error) {
	kind := typeSign
	if g.s.Seal != nil {
		kind = typeSeal
	}
	ids := make(map[string]bool)
	for _, l := range g.list {
		ids[l.id] = true
	}
	last := len(g.list) + 1
	for ids[fmt.Sprintf("s%03d", last)] {
		last++
	}
	m := newMarkup("Signatures")
	m.text("MaxSignId", strconv.Itoa(last))
	for _, l := range append(g.list, listed{fmt.Sprintf("s%03d", last), kind, g.folder + "Signature.xml"}) {
		if l.path == "" {
			return nil, fmt.Errorf("%w: a signature that it lists is not there", ErrSigning)
		}
		m.empty("Signature", "ID", l.id, "Type", l.kind, "BaseLoc", l.path)
	}
	return m.bytes()
}

// byPlace are the files in the order in which they lie in the zip.
func (p *Package) byPlace() []entry {
	all := slices.Clone(p.entries)
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.data, b.data) })
	return all
}
