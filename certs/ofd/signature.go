package ofd

import (
	"bytes"
	"context"
	"crypto/md5"  // standard default of CheckMethod; judged as weak
	"crypto/sha1" // likewise
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"oncegate/certs/sm"
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

// method is a digest of References (CheckMethod).
type method struct {
	name string
	weak bool
	make func() hash.Hash
}

// methodOf finds a digest by its name in CheckMethod. The default of the standard is MD5; one vendor writes the OID of
// HMAC-SM3 and means SM3.
func methodOf(name string) (method, bool) {
	switch strings.ToUpper(name) {
	case "SM3", "1.2.156.10197.1.401", "1.2.156.10197.1.401.1", "1.2.156.10197.1.401.2":
		return method{"SM3", false, sm.New}, true
	case "SHA256", "SHA-256", "2.16.840.1.101.3.4.2.1":
		return method{"SHA-256", false, sha256.New}, true
	case "SHA1", "SHA-1", "1.3.14.3.2.26":
		return method{"SHA-1", true, sha1.New}, true
	case "MD5", "1.2.840.113549.2.5", "":
		return method{"MD5", true, md5.New}, true
	}
	return method{}, false
}

// digests are the digests of a package's files, each taken once, whatever asks for it.
type digests map[digestKey][]byte

type digestKey struct{ path, method string }

// maxReaders bounds the files that are read at once: each takes some 100 kB.
const maxReaders = 8

// wants is what has to be found out about the files of a package: digests by methods, and the content where it is read later.
type wants struct {
	digests map[string][]method
	content map[string]bool
}

// contents unpacks every file and folder of the package once, and takes the digests that are wanted. A file that does not
// unpack to just what the zip says refuses the package: which of two contents it has depends on the reader.
func (p *Package) contents(ctx context.Context, want wants, b *budget) (digests, error) {
	need := want.digests
	for i := range p.entries {
		e := &p.entries[i]
		if err := b.unpack(e); err != nil {
			return nil, err
		}
		if err := b.digest(e.size * int64(len(need["/"+e.name]))); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex // protects done and b
	done := make(digests)
	faults := make([]error, len(p.entries)+len(p.folders))
	var readers errgroup.Group
	readers.SetLimit(min(runtime.GOMAXPROCS(0), maxReaders))
	read := func(i int, e *entry) {
		readers.Go(func() error {
			at := "/" + e.name
			sums := make([]hash.Hash, len(need[at]))
			to := make([]io.Writer, len(sums))
			for j, m := range need[at] {
				sums[j] = m.make()
				to[j] = sums[j]
			}
			mu.Lock()
			content, kept := b.files[at]
			mu.Unlock()
			var whole bytes.Buffer
			keep := !kept && want.content[at] && e.size <= max(MaxValue, MaxXML)
			if keep {
				whole.Grow(int(e.size))
				to = append(to, &whole)
			}
			if kept {
				_, faults[i] = io.Copy(io.MultiWriter(to...), cancelled{ctx, bytes.NewReader(content)})
			} else {
				faults[i] = p.copyTo(ctx, io.MultiWriter(to...), e)
			}
			if faults[i] != nil {
				return nil // the first in order is reported
			}
			mu.Lock()
			defer mu.Unlock()
			if keep {
				b.keep(at, whole.Bytes())
			}
			for j, m := range need[at] {
				done[digestKey{at, m.name}] = sums[j].Sum(nil)
			}
			return nil
		})
	}
	for i := range p.entries {
		read(i, &p.entries[i])
	}
	for i := range p.folders {
		read(len(p.entries)+i, &p.folders[i])
	}
	_ = readers.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, err
		}
	}
	return done, nil
}
