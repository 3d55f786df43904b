package ofd

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/certs/sm"
	"oncegate/sheet"
)

// Where the files of a package of ours lie.
const (
	docFolder      = "/Doc_0/"
	documentFile   = docFolder + "Document.xml"
	publicFile     = docFolder + "PublicRes.xml"
	mediaFile      = docFolder + "DocumentRes.xml"
	annotsFile     = docFolder + "Annotations/Annotations.xml"
	attachmentFile = docFolder + "Attachs/Attachments.xml"
)

// china is the time of all dates in a document: the standards name none, and readers show them as they stand.
var china = time.FixedZone("CST", 8*60*60)

const dateLayout = "2006-01-02"

// Write makes a package of a document. The error is ErrDocument.
func (c Config) Write(d Document) ([]byte, error) {
	if len(d.Pages) == 0 {
		return nil, fmt.Errorf("%w: it has no page", ErrDocument)
	}
	if d.Created.IsZero() {
		d.Created = c.now()
	}
	w := writer{Config: c, doc: d, res: newResources(), date: d.Created.In(china).Format(dateLayout)}
	return w.write()
}

func (c Config) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c Config) creator() string { return cmp.Or(c.Creator, "Oncegate") }
func (c Config) version() string { return cmp.Or(c.Version, "1.0") }

// writer is the work of one [Config.Write].
type writer struct {
	Config
	doc   Document
	res   *resources
	date  string
	pages []string // IDs
}

// file is a file to be.
type file struct {
	path string
	data []byte
	err  error
}

// write makes the files that others refer to first, then puts them in the order in which readers need them.
func (w *writer) write() ([]byte, error) {
	var rest []file
	add := func(at string, data []byte, err error) { rest = append(rest, file{at, data, err}) }
	for i, p := range w.doc.Pages {
		data, err := w.page(p)
		add(fmt.Sprintf("%sPages/Page_%d/Content.xml", docFolder, i), data, err)
	}
	if w.marked() {
		data, err := w.annotations()
		add(annotsFile, data, err)
		for i, p := range w.doc.Pages {
			if len(p.Watermark) > 0 {
				data, err := w.watermark(p)
				add(fmt.Sprintf("%sAnnotations/Annot_%d.xml", docFolder, i), data, err)
			}
		}
	}
	if len(w.doc.Attachments) > 0 {
		data, err := w.attachments()
		add(attachmentFile, data, err)
		for i, a := range w.doc.Attachments {
			add(path.Dir(attachmentFile)+"/"+attached(i, a), a.Data, nil)
		}
	}
	for _, r := range append(w.res.fonts, w.res.images...) {
		add(docFolder+"Res/"+r.file, r.data, nil)
	}

	a := newArchive()
	root, err := w.root(rest)
	a.add(rootFile, root, err)
	document, err := w.document()
	a.add(documentFile, document, err)
	public, err := w.res.public()
	a.add(publicFile, public, err)
	if len(w.res.images) > 0 {
		media, err := w.res.media()
		a.add(mediaFile, media, err)
	}
	for _, f := range rest {
		a.add(f.path, f.data, f.err)
	}
	return a.bytes()
}

// page writes a page, clause 7.7.
func (w *writer) page(p *sheet.Page) ([]byte, error) {
	w.pages = append(w.pages, w.res.next())
	m := newMarkup("Page")
	m.begin("Area")
	m.text("PhysicalBox", m.numbers(0, 0, p.Width, p.Height))
	m.end()
	m.begin("Content")
	m.begin("Layer", "ID", w.res.next(), "Type", "Body")
	d := newDrawing(m, w.res, p.Fonts)
	for _, item := range p.Items {
		d.draw(item)
	}
	if !(p.Width > 0 && p.Height > 0) {
		m.fail("a page has no area")
	}
	return m.bytes()
}

// marked reports whether some page has a watermark.
func (w *writer) marked() bool {
	return slices.ContainsFunc(w.doc.Pages, func(p *sheet.Page) bool { return len(p.Watermark) > 0 })
}

// annotations writes which page has which annotations, clause 15.1.
func (w *writer) annotations() ([]byte, error) {
	m := newMarkup("Annotations")
	for i, id := range w.pages {
		if len(w.doc.Pages[i].Watermark) == 0 {
			continue
		}
		m.begin("Page", "PageID", id)
		m.text("FileLoc", fmt.Sprintf("Annot_%d.xml", i))
		m.end()
	}
	return m.bytes()
}

// watermark writes the annotation that covers a page.
func (w *writer) watermark(p *sheet.Page) ([]byte, error) {
	m := newMarkup("PageAnnot")
	m.begin("Annot", "ID", w.res.next(), "Type", "Watermark", "Creator", w.creator(), "LastModDate", w.date,
		"Visible", "true", "Print", "true", "NoZoom", "false", "NoRotate", "false", "ReadOnly", "true")
	m.begin("Appearance", "Boundary", m.numbers(0, 0, p.Width, p.Height))
	d := newDrawing(m, w.res, p.Fonts)
	for _, item := range p.Watermark {
		d.draw(item)
	}
	return m.bytes()
}

// formats are extensions of attachments.
var formats = regexp.MustCompile(`^[A-Za-z0-9]{1,16}$`)

// attachments writes the list of attachments, clause 20.
func (w *writer) attachments() ([]byte, error) {
	m := newMarkup("Attachments")
	for i, a := range w.doc.Attachments {
		if !formats.MatchString(a.Format) || a.Name == "" {
			m.fail("an attachment has no name or no format")
		}
		m.begin("Attachment", "ID", "a"+strconv.Itoa(i+1), "Name", a.Name, "Format", a.Format,
			"CreationDate", w.date, "Size", m.number(float64(len(a.Data))/1024), "Visible", "false")
		m.text("FileLoc", attached(i, a))
		m.end()
	}
	return m.bytes()
}

// attached is the file name of an attachment.
func attached(i int, a Attachment) string {
	return fmt.Sprintf("Attach_%d.%s", i, strings.ToLower(a.Format))
}

// document writes Document.xml, clause 7.5.
func (w *writer) document() ([]byte, error) {
	first := w.doc.Pages[0]
	m := newMarkup("Document")
	m.begin("CommonData")
	m.text("MaxUnitID", strconv.Itoa(w.res.last))
	m.begin("PageArea")
	m.text("PhysicalBox", m.numbers(0, 0, first.Width, first.Height))
	m.end()
	m.text("PublicRes", path.Base(publicFile))
	if len(w.res.images) > 0 {
		m.text("DocumentRes", path.Base(mediaFile))
	}
	m.end()
	m.begin("Pages")
	for i, id := range w.pages {
		m.empty("Page", "ID", id, "BaseLoc", fmt.Sprintf("Pages/Page_%d/Content.xml", i))
	}
	m.end()
	if w.marked() {
		m.text("Annotations", strings.TrimPrefix(annotsFile, docFolder))
	}
	if len(w.doc.Attachments) > 0 {
		m.text("Attachments", strings.TrimPrefix(attachmentFile, docFolder))
	}
	return m.bytes()
}

// root writes OFD.xml, clause 7.4.
func (w *writer) root(files []file) ([]byte, error) {
	m := newMarkup("OFD", "Version", "1.0", "DocType", "OFD")
	m.begin("DocBody")
	m.begin("DocInfo")
	m.text("DocID", cmp.Or(w.doc.ID, w.derivedID(files)))
	m.text("Title", cmp.Or(w.doc.Title, w.doc.Pages[0].Title))
	m.text("Author", w.doc.Author)
	m.text("CreationDate", w.date)
	m.text("Creator", w.creator())
	m.text("CreatorVersion", w.version())
	if len(w.doc.Data) > 0 {
		m.begin("CustomDatas")
		for _, d := range w.doc.Data {
			if d.Name == "" {
				m.fail("an item of metadata has no name")
			}
			m.begin("CustomData", "Name", d.Name)
			m.escape(d.Value)
			m.end()
		}
		m.end()
	}
	m.end()
	m.text("DocRoot", strings.TrimPrefix(documentFile, "/"))
	return m.bytes()
}

// derivedID is a document ID that follows from what the document shows and says.
func (w *writer) derivedID(files []file) string {
	h := sm.New()
	for _, d := range w.doc.Data {
		fmt.Fprintf(h, "%q=%q\n", d.Name, d.Value)
	}
	fmt.Fprintf(h, "%q %q %q\n", w.doc.Title, w.doc.Author, w.doc.Created.UTC().Format(time.RFC3339Nano))
	for _, f := range files {
		sum := sm.Digest(f.data)
		fmt.Fprintf(h, "%q %x\n", f.path, sum)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
