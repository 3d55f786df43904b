package ofd

import (
	"bufio"
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

	"oncegate/sheet"
)

// A Package is an OFD package that was read within bounds. It is safe for concurrent use when its reader is.
type Package struct {
	// ID, Title and Version are DocID, Title and Version as they stand in OFD.xml.
	ID, Title, Version string

	r       io.ReaderAt
	size    int64
	entries []entry // files, by name
	folders []entry // likewise
	idle    inflaters
	left    *budget // by opening

	root       *node  // OFD.xml
	rootEnd    int64  // offset of the end tag of DocBody in OFD.xml
	document   string // path of Document.xml
	signatures string // path of Signatures.xml, empty when there is none
	pages      []pageRef
	pageIDs    map[string]int // index in pages
	area       *sheet.Box     // of pages that state none, nil when the document does not either

	signaturesLost bool // OFD.xml leads to a list of signatures that is not there
	data           []Datum
	attached       []Datum
	attachedIn     []string // the files that lead to attached, and the one that has it
}

// pageRef is a page of the outline.
type pageRef struct{ id, path string }

// rootFile is the entrance of every package, clause 7.1.
const rootFile = "/OFD.xml"

// Open reads the outline of a package of size bytes: entries, OFD.xml and Document.xml. The error is a *Refusal, the reader's
// or ctx's. The package reads from r as long as it is used.
//
// What the zip says of its entries is checked here; that each unpacks to just that is checked where it is read, and of all
// files by [Package.Verify].
func Open(ctx context.Context, r io.ReaderAt, size int64) (*Package, error) {
	all, err := readEntries(ctx, r, size)
	if err != nil {
		return nil, err
	}
	p := &Package{r: r, size: size}
	for _, e := range all {
		if e.folder() {
			p.folders = append(p.folders, e)
		} else {
			p.entries = append(p.entries, e)
		}
	}
	whole := newBudget(size)
	b := whole.opening(size)
	may := b.work
	if err := b.spend(int64(len(all)) * workPerFile); err != nil {
		return nil, err
	}
	if err := p.readRoot(ctx, b); err != nil {
		return nil, err
	}
	if err := p.readDocument(ctx, b); err != nil {
		return nil, err
	}
	b.work += whole.work - may
	p.left = b
	return p, nil
}

// readRoot reads OFD.xml.
func (p *Package) readRoot(ctx context.Context, b *budget) error {
	root, err := p.tree(ctx, rootFile, b)
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
func (p *Package) readDocument(ctx context.Context, b *budget) error {
	doc, err := p.tree(ctx, p.document, b)
	if err != nil {
		return err
	}
	p.area = parseBox(doc.child("CommonData").child("PageArea").value("PhysicalBox"))
	p.pageIDs = make(map[string]int)
	for page := range doc.child("Pages").all("Page") {
		if err := b.spend(workPerRef); err != nil {
			return err
		}
		at, err := p.locate(p.document, page.attr("BaseLoc"))
		if err != nil {
			return refuse(StepDocument, "page %d of the document is not in the package", len(p.pages)+1)
		}
		p.pageIDs[page.attr("ID")] = len(p.pages)
		p.pages = append(p.pages, pageRef{page.attr("ID"), at})
	}
	if len(p.pages) == 0 {
		return refuse(StepDocument, "the document has no page")
	}
	return p.readAttachments(ctx, doc, b)
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

// cancelled is a reader that ends with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// copyTo writes the unpacked content of e to w and checks its length and checksum, and that unpacking used every packed byte.
// No more than what the zip declares is unpacked.
func (p *Package) copyTo(ctx context.Context, w io.Writer, e *entry) error {
	var packed interface {
		io.Reader
		io.ByteReader // so that inflating reads no byte too many
	}
	if e.packed <= readWhole { // inflating from memory takes a tenth less
		b := make([]byte, e.packed)
		if err := readAt(p.r, b, e.data); err != nil {
			return err
		}
		packed = bytes.NewReader(b)
	} else {
		packed = bufio.NewReaderSize(cancelled{ctx, io.NewSectionReader(p.r, e.data, e.packed)}, 64<<10)
	}
	content := io.Reader(packed)
	if e.method == deflated {
		inflate, err := p.idle.take(packed)
		if err != nil {
			return fmt.Errorf("read ofd package: %w", err)
		}
		defer p.idle.put(inflate)
		content = inflate
	}
	sum := crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(cancelled{ctx, content}, e.size+1))
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && (n != e.size || sum.Sum32() != e.crc):
		return refuse(StepPackage, "the file %s does not unpack to what the zip says", quote(e.name))
	case err != nil:
		return fmt.Errorf("read ofd package: %w", err)
	}
	switch _, err := packed.ReadByte(); {
	case err == nil:
		return refuse(StepPackage, "the file %s has packed bytes that unpacking does not use", quote(e.name))
	case !errors.Is(err, io.EOF):
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
func (p *Package) read(ctx context.Context, at string, limit int64, b *budget) ([]byte, error) {
	e := p.find(at)
	switch {
	case e == nil:
		return nil, errMissing
	case e.size > limit:
		return nil, refuse(StepXML, "the file %s has more than %d bytes", quote(at), limit)
	}
	if content, kept := b.files[at]; kept {
		return content, nil
	}
	if err := b.unpack(e); err != nil {
		return nil, err
	}
	var content bytes.Buffer
	content.Grow(int(e.size))
	if err := p.copyTo(ctx, &content, e); err != nil {
		return nil, err
	}
	b.keep(at, content.Bytes())
	return content.Bytes(), nil
}

// tree reads a file as XML.
func (p *Package) tree(ctx context.Context, at string, b *budget) (*node, error) {
	text, err := p.read(ctx, at, MaxXML, b)
	if err != nil {
		return nil, err
	}
	return parseTree(ctx, at, text, b)
}

// Verify opens and judges; a refusal is a failed step. The error is the reader's.
func Verify(ctx context.Context, r io.ReaderAt, size int64, j Judges) (Report, error) {
	p, err := Open(ctx, r, size)
	if err != nil {
		return refused(err)
	}
	return p.Verify(ctx, j)
}

// maxAttachments bounds the XML attachments that are searched for metadata.
const maxAttachments = 16

// Data returns the metadata (GB/T 36903 short names): CustomDatas of OFD.xml. If none of them has a name of the standard, it returns
// those of an XML attachment, where some makers put them.
func (p *Package) Data() []Datum {
	if len(p.attached) > 0 {
		return p.attached
	}
	return p.data
}

// dataIn are the files that [Package.Data] depends on.
func (p *Package) dataIn() []string {
	if len(p.attached) > 0 {
		return p.attachedIn
	}
	return []string{rootFile}
}

// Value returns the first value of a name, empty when there is none.
func (p *Package) Value(name string) string {
	for _, d := range p.Data() {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

// short reports whether name has the form of a short name of GB/T 36903: ZZMC, KZ_….
func short(name string) bool {
	return strings.HasPrefix(name, "KZ_") || len(name) >= 4 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// readAttachments looks for metadata in the attachments, when OFD.xml has none. An attachment that is no XML is none of our
// business.
func (p *Package) readAttachments(ctx context.Context, doc *node, b *budget) error {
	at, err := p.locate(p.document, doc.value("Attachments"))
	if err != nil || slices.ContainsFunc(p.data, func(d Datum) bool { return short(d.Name) }) {
		return nil
	}
	list, err := p.tree(ctx, at, b)
	if err != nil {
		return err
	}
	left := maxAttachments
	for a := range list.all("Attachment") {
		if err := b.spend(workPerRef); err != nil {
			return err
		}
		file, err := p.locate(at, a.value("FileLoc"))
		if err != nil || !strings.EqualFold(path.Ext(file), ".xml") && !strings.EqualFold(a.attr("Format"), "xml") {
			continue
		}
		if left--; left < 0 || len(p.attached) > 0 {
			break
		}
		root, err := p.tree(ctx, file, b)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Step == StepXML:
			continue
		case err != nil:
			return err
		}
		if p.attached = searchData(root); len(p.attached) > 0 {
			p.attachedIn = []string{rootFile, p.document, at, file}
		}
	}
	return nil
}

// searchData returns the metadata below n: children of CustomDatas, of which deployed makers write CuslomDatas, as
// <CustomData Name="ZZMC">…</CustomData> or as <ZZMC>…</ZZMC>.
func searchData(n *node) []Datum {
	if n.name == "CustomDatas" || n.name == "CuslomDatas" {
		var data []Datum
		for _, c := range n.children {
			switch name := c.attr("Name"); {
			case name != "":
				data = append(data, Datum{name, c.text})
			case short(c.name):
				data = append(data, Datum{c.name, c.text})
			}
		}
		return data
	}
	for _, c := range n.children {
		if data := searchData(c); data != nil {
			return data
		}
	}
	return nil
}
