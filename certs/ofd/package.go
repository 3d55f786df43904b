package ofd

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"oncegate/license"
)

// A Package is an OFD package that was read within bounds. It is safe for concurrent use when its reader is.
type Package struct {
	// ID, Title and Version are DocID, Title and Version as they stand in OFD.xml.
	ID, Title, Version string

	r       io.ReaderAt
	entries []entry // by name
	idle    inflaters

	root       *node  // OFD.xml
	rootEnd    int64  // offset of the end tag of DocBody in OFD.xml
	document   string // path of Document.xml
	signatures string // path of Signatures.xml, empty when there is none
	pages      []pageRef

	signaturesLost bool // OFD.xml leads to a list of signatures that is not there
	data           []Datum
	attached       []Datum
}

// pageRef is a page of the outline.
type pageRef struct{ id, path string }

// rootFile is the entrance of every package, clause 7.1.
const rootFile = "/OFD.xml"

// Open reads the outline of a package of size bytes: entries, OFD.xml and Document.xml. The error is a *Refusal or the
// reader's. The package reads from r as long as it is used.
func Open(r io.ReaderAt, size int64) (*Package, error) {
	entries, err := readEntries(r, size)
	if err != nil {
		return nil, err
	}
	p := &Package{r: r, entries: entries}
	if err := p.readRoot(); err != nil {
		return nil, err
	}
	if err := p.readDocument(); err != nil {
		return nil, err
	}
	return p, nil
}

// readRoot reads OFD.xml.
func (p *Package) readRoot() error {
	root, err := p.tree(rootFile)
	switch {
	case errors.Is(err, errMissing):
		return refuse(StepDocument, "the package has no OFD.xml")
	case err != nil:
		return err
	case root.name != "OFD" || root.attr("DocType") != "OFD" && root.attr("DocType") != "OFD-A":
		return refuse(StepDocument, "OFD.xml does not describe an OFD document")
	case !strings.HasPrefix(root.attr("Version"), "1."):
		return refuse(StepDocument, "the package is of an unknown version")
	}
	p.root, p.Version = root, root.attr("Version")
	bodies := slices.Collect(root.all("DocBody"))
	if len(bodies) != 1 {
		return refuse(StepDocument, "the package has %d documents; packages of one document are read", len(bodies))
	}
	body := bodies[0]
	p.rootEnd = body.end
	info := body.child("DocInfo")
	p.ID, p.Title = info.value("DocID"), info.value("Title")
	for d := range info.child("CustomDatas").all("CustomData") {
		p.data = append(p.data, Datum{d.attr("Name"), d.text})
	}
	if p.document, err = p.locate(rootFile, body.value("DocRoot")); err != nil {
		return refuse(StepDocument, "the document that OFD.xml leads to is not in the package")
	}
	if loc := body.value("Signatures"); loc != "" {
		if p.signatures, err = p.locate(rootFile, loc); err != nil {
			p.signaturesLost = true
		}
	}
	return nil
}

// readDocument reads Document.xml: the pages and the attachments with metadata.
func (p *Package) readDocument() error {
	doc, err := p.tree(p.document)
	if err != nil {
		return err
	}
	for page := range doc.child("Pages").all("Page") {
		at, err := p.locate(p.document, page.attr("BaseLoc"))
		if err != nil {
			return refuse(StepDocument, "page %d of the document is not in the package", len(p.pages)+1)
		}
		p.pages = append(p.pages, pageRef{page.attr("ID"), at})
	}
	if len(p.pages) == 0 {
		return refuse(StepDocument, "the document has no page")
	}
	return p.readAttachments(doc)
}

// Pages is how many pages the document has.
func (p *Package) Pages() int { return len(p.pages) }

// Files are the absolute paths of all files, sorted.
func (p *Package) Files() []string {
	out := make([]string, len(p.entries))
	for i, e := range p.entries {
		out[i] = "/" + e.name
	}
	return out
}

// errMissing says that a location leads to no file of the package.
var errMissing = errors.New("not in the package")

// locate resolves a location (ST_Loc) that stands in the file base. A relative one starts at the folder of base; vendors
// also leave out the leading slash of an absolute one.
func (p *Package) locate(base, loc string) (string, error) {
	loc = strings.ReplaceAll(loc, "\\", "/")
	if loc == "" {
		return "", errMissing
	}
	if loc[0] != '/' {
		if at := path.Join(path.Dir(base), loc); p.find(at) != nil {
			return at, nil
		}
	}
	if at := path.Clean("/" + loc); p.find(at) != nil {
		return at, nil
	}
	return "", errMissing
}

// find returns the entry of an absolute path, nil when there is none.
func (p *Package) find(at string) *entry {
	name := strings.TrimPrefix(at, "/")
	i, ok := slices.BinarySearchFunc(p.entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
	if !ok {
		return nil
	}
	return &p.entries[i]
}

// readWhole is up to how many packed bytes a file is read at once.
const readWhole = 256 << 10

// copyTo writes the unpacked content of e to w and checks its length and checksum. No more than what the zip declares is
// unpacked.
func (p *Package) copyTo(w io.Writer, e *entry) error {
	var packed io.Reader = io.NewSectionReader(p.r, e.data, e.packed)
	if e.packed <= readWhole { // inflating from memory takes a tenth less
		b := make([]byte, e.packed)
		if err := readAt(p.r, b, e.data); err != nil {
			return err
		}
		packed = bytes.NewReader(b)
	}
	content := packed
	if e.method == deflated {
		inflate, err := p.idle.take(packed)
		if err != nil {
			return fmt.Errorf("read ofd package: %w", err)
		}
		defer p.idle.put(inflate)
		content = inflate
	}
	sum := crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(content, e.size+1))
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && (n != e.size || sum.Sum32() != e.crc):
		return refuse(StepPackage, "the file %s does not unpack to what the zip says", quote(e.name))
	case err != nil:
		return fmt.Errorf("read ofd package: %w", err)
	}
	return nil
}

// inflaters are flate readers that wait for the next file: one has 40 kB, and a package has thousands of files.
type inflaters struct {
	mu   sync.Mutex // protects free
	free []io.ReadCloser
}

func (i *inflaters) take(packed io.Reader) (io.ReadCloser, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	last := len(i.free) - 1
	if last < 0 {
		return flate.NewReader(packed), nil
	}
	inflate := i.free[last]
	i.free = i.free[:last]
	return inflate, inflate.(flate.Resetter).Reset(packed, nil)
}

func (i *inflaters) put(inflate io.ReadCloser) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.free = append(i.free, inflate)
}

// read returns the content of a file of at most limit bytes.
func (p *Package) read(at string, limit int64) ([]byte, error) {
	e := p.find(at)
	switch {
	case e == nil:
		return nil, errMissing
	case e.size > limit:
		return nil, refuse(StepXML, "the file %s has more than %d bytes", quote(at), limit)
	}
	var b bytes.Buffer
	b.Grow(int(e.size))
	if err := p.copyTo(&b, e); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// tree reads a file as XML.
func (p *Package) tree(at string) (*node, error) {
	b, err := p.read(at, MaxXML)
	if err != nil {
		return nil, err
	}
	return parseTree(at, b)
}

// Verify opens and judges; a refusal is a failed step. The error is the reader's.
func Verify(ctx context.Context, r io.ReaderAt, size int64, j Judges) (Report, error) {
	p, err := Open(r, size)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return Report{Steps: []license.Step{{Name: refusal.Step, State: license.Failed, Reason: sentence(refusal.Reason)}}}, nil
	case err != nil:
		return Report{}, err
	}
	return p.Verify(ctx, j)
}
