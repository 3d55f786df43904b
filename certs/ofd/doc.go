// Package ofd writes, signs, reads and verifies OFD packages (版式文档, GB/T 33190-2016): a zip of XML files that any OFD
// reader shows as pages.
//
// [Config.Write] draws [sheet.Page] values as a package with GB/T 36903 metadata, [Config.Sign] adds a seal (电子签章) or a
// digital signature over every file of a package, ours or another's, and [Config.Annotate] makes an annotated copy
// (加注件). [Open] reads a package within bounds, and [Package.Verify] verifies it step by step. The format of
// signature values is not known here: the caller brings functions that make and verify them ([Signing], [Judges]);
// [SealWith] and [JudgeSeal] take them from package seal, [SignWith] and [JudgeCMS] from package cms.
//
// The same input gives the same bytes: entries stand in the order of writing, all with one time.
package ofd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"oncegate/check"
	"oncegate/sheet"
)

// Namespace is the XML namespace of every OFD element, GB/T 33190-2016 clause 7.1.
const Namespace = "http://www.ofdspec.org/2016"

// Bounds of packages that are read. A package beyond one is refused before memory or time is spent on it.
const (
	// MaxPackage bounds a package in bytes: a license has some hundred kB, a scanned contract some ten MB.
	MaxPackage = 64 << 20
	// MaxEntries bounds the files of a package: ten thousand pages with nothing else.
	MaxEntries = 10_000
	// MaxUnpacked bounds all files of a package, unpacked, in bytes: they are streamed, never kept in memory.
	MaxUnpacked = 256 << 20
	// MaxRatio bounds unpacked to packed of a file past a megabyte: text reaches 20, an empty raster 1000.
	MaxRatio = 200
	// MaxXML bounds an XML file that is read as a tree, in bytes.
	MaxXML = 4 << 20
	// MaxNodes bounds the elements of such a file: twice MaxEntries References fit.
	MaxNodes = 50_000
	// MaxDepth bounds the nesting of elements: the standard needs about ten.
	MaxDepth = 64
	// MaxSignatures bounds the signatures of a package.
	MaxSignatures = 64
	// MaxDescriptions bounds all Signature.xml of a package together, in bytes: 60,000 References.
	MaxDescriptions = 8 << 20
)

// Why a document could not be made.
var (
	// ErrDocument reports that no package can be made of a document: no page, a number that is none, a font that is missing.
	ErrDocument = errors.New("no package can be made of this document")
	// ErrExpired reports that an annotated copy would have expired already.
	ErrExpired = errors.New("an annotated copy cannot expire in the past")
	// ErrSigning reports that a signing does not fit the package.
	ErrSigning = errors.New("the package cannot be signed like this")
)

// Config configures the writing of packages. The zero value works.
type Config struct {
	// Now is the clock of creation and signing times; nil means time.Now.
	Now func() time.Time
	// Creator and Version name the software in DocInfo and in Provider; empty means "Oncegate" and "1.0".
	Creator, Version string
}

// A Datum is one item of metadata by its short name of GB/T 36903 (ZZMC, ZZBH, …). Names repeat where a license has
// several holders or issuers; the order is kept.
type Datum struct{ Name, Value string }

// A Document is the content of a package: pages and metadata.
type Document struct {
	ID          string    // DocID, 32 hexadecimal digits; empty derives one from the content
	Title       string    // may be empty
	Author      string    // may be empty
	Created     time.Time // CreationDate; zero means Config.Now
	Data        []Datum   // OFD.xml: CustomDatas
	Pages       []*sheet.Page
	Attachments []Attachment
}

// An Attachment (附件, clause 20) is a file that travels along and is not shown.
type Attachment struct {
	Name   string // shown to people, such as "license.xml"
	Format string // extension without dot: letters and digits
	Data   []byte
}

// A SealFunc seals: digest is the SM3 of Signature.xml, path that file's absolute path in the package. It returns the
// content of SignedValue.dat (SES_Signature) and of Seal.esl (the seal inside).
type SealFunc func(ctx context.Context, digest [32]byte, path string) (value, esl []byte, err error)

// A SignFunc signs: it returns GB/T 35275 SignedData, DER, with content inside. Content is the SM3 of Signature.xml, as
// GB/T 33190 clause 18.3 has it.
type SignFunc func(ctx context.Context, content []byte) (signedData []byte, err error)

// A Signing is one signature to add: a seal (Type=Seal) or a digital signature (Type=Sign); exactly one of both.
type Signing struct {
	Seal   SealFunc
	Sign   SignFunc
	Stamps []Stamp // where the seal shows; a seal has at least one, several with Clip are a riding seal (骑缝章)
}

// A Stamp is a place where a seal shows.
type Stamp struct {
	Page int        // from 0
	Box  sheet.Box  // on the page, mm
	Clip *sheet.Box // the part of the seal that shows, mm from the corner of Box; nil for all
}

// A Copy is an annotated copy (加注件) to make of a license for one use. It is drawn anew with the granted fields and
// signed by itself; the original is only referred to, by digest.
type Copy struct {
	// Original is the package of the license itself. Who made it and knows its SM3 may give that instead: OriginalSM3.
	Original    []byte
	OriginalSM3 []byte
	// Document is the copy as granted: its pages and Data contain nothing else. The watermark of every page says
	// Notice.Lines. The JZJ metadata and the digest of the original are added to its Data, which must name the license
	// (ZZBS).
	Document Document
	Notice   Notice
	// Maker and Reason are JZJZZZ and JZJZZSY; empty means Notice.Provider and Notice.Matter.
	Maker, Reason string
	Signing       Signing
}

// A Notice is the provenance of a copy (国办函〔2016〕108号: by whom, for what, until when).
type Notice struct {
	Provider string // who gave it out
	User     string // who may use it
	Matter   string // for which matter (事项)
	Case     string // of which case (办件号)
	Archived bool   // the copy is for the case's file (入卷), and for nothing else
	Expires  time.Time
}

// Names of metadata that an annotated copy adds, GB/T 36903; OriginalSM3 is ours: the digest of the original package, hex.
const (
	CopyMaker   = "JZJZZZ"
	CopyMade    = "JZJZZSJ"
	CopyReason  = "JZJZZSY"
	CopyExpires = "JZJYXQJZSJ"
	Identifier  = "ZZBS"
	OriginalSM3 = "OriginalSM3"
)

// Steps of a document, in order. A package that is refused has one step, [StepPackage] … [StepWork], and nothing
// else.
const (
	StepPackage     = "ofd-package"      // a zip within bounds that is the same files to every reader
	StepUnique      = "ofd-entries"      // no two files of one name, however it is spelled
	StepXML         = "ofd-xml"          // XML without entities, within bounds
	StepDocument    = "ofd-document"     // one document, and what it leads to is there
	StepWork        = "ofd-work"         // only, and not checkable, when reading and verifying cost more than a package of its size may
	StepExpires     = "ofd-copy-expires" // an annotated copy may still be used; only when it names an end
	StepSigned      = "ofd-signed"       // there is a signature
	StepCoverage    = "ofd-coverage"     // every file is under a signature that holds
	StepMetadata    = "ofd-metadata"     // the metadata are under a signature that holds; only when there are any
	StepList        = "ofd-list"         // GM/T 0099: the files are those of OFDEntries.xml; only when that file exists
	StepListSigned  = "ofd-list-signed"  // GM/T 0099: OFDEntries.xml is signed; the judge's steps come after it
	StepListContent = "ofd-list-content" // GM/T 0099: the list has names, not digests
)

// Steps of a signature, in order; the steps of the seal or of the SignedData stand after StepReferences.
const (
	StepForm       = "signature-form"       // Signature.xml can be read
	StepMethod     = "signature-method"     // the digest of the References is one that still proves something
	StepMissing    = "signature-missing"    // the files of all References are there
	StepReferences = "signature-references" // these files are as they were signed
	StepContent    = "signature-content"    // Type=Sign: what was signed is the digest of Signature.xml
	StepSealFile   = "signature-seal-file"  // Type=Seal: Seal.esl is the seal that was used
	StepStamp      = "signature-stamp"      // Type=Seal: the seal shows on pages that exist
	StepStampArea  = "signature-stamp-area" // Type=Seal: it cannot hide a page or another seal
	StepExtent     = "signature-extent"     // it covers every file that is not of a signature
)

// A Proof is the result of verifying a signature value.
type Proof struct {
	Signer   string       // who signed, for display; unverified unless the steps are ok
	USCC     string       // of who signed, from a certificate that leads to an anchor; empty when it names none
	SealName string       // Type=Seal
	Time     time.Time    // at which the signature was judged
	Proven   bool         // Time is a time stamp's that holds; else it is what the signer says
	Seal     []byte       // Type=Seal: the seal inside the value, DER; nil when it could not be read
	Content  []byte       // Type=Sign: the content inside the SignedData; nil when it is detached
	Steps    []check.Step // at least one
}

// Judges are verifiers of signature values. Without one a value is not checkable, never ok.
type Judges struct {
	// Now is when an annotated copy is looked at; zero means time.Now.
	Now time.Time
	// Seal judges an SES_Signature over digest, the SM3 of Signature.xml at path.
	Seal func(ctx context.Context, value, digest []byte, path string) Proof
	// CMS judges GB/T 35275 SignedData. Content is what is signed when the SignedData has none inside.
	CMS func(ctx context.Context, signedData, content []byte) Proof
}

// A Report is the result of a verification. It holds when no step failed, of the document and of every signature.
type Report struct {
	Steps      []check.Step
	Signatures []Signature // in the order of Signatures.xml
}

// A Signature is the result of verifying one signature of a document.
type Signature struct {
	ID       string
	Type     string // "Seal" or "Sign"
	Provider string // the software that signed
	Signer   string
	USCC     string // as in Proof
	SealName string
	Time     time.Time // zero when no judge gave one
	Proven   bool      // as in Proof
	Steps    []check.Step
}

// A Refusal is the error of a package that is not read further.
type Refusal struct {
	Step   string // StepPackage, StepUnique, StepXML, StepDocument or StepWork
	Reason string // one sentence
}

func (r *Refusal) Error() string { return "refuse ofd package: " + r.Reason }

// Taken is the refusal as a step: failed; not checkable if the package costs too much to verify, because it may be right.
func (r *Refusal) Taken() check.Step {
	if r.Step == StepWork {
		return check.CannotCheck(r.Step, sentence(r.Reason))
	}
	return check.Fail(r.Step, sentence(r.Reason))
}

// Bounds of the work of opening and verifying a package together. A package that needs more has [StepWork], not checkable, and
// nothing is said of its signatures.
const (
	// MaxDigested bounds the bytes that are digested, each file once for each digest method that signatures name.
	MaxDigested = 24 << 20

	// maxWork bounds all work, in units of a digested byte, about 4 ns. It grows with packages past a megabyte.
	maxWork, workPerByte, freeSize = 24 << 20, 10, 1 << 20
	// Opening alone costs at most this and so much for each byte of the package: many may be opened for one that is verified.
	maxOpening, openingPerByte = 1 << 20, 20

	workPerFile   = 1000 // to place, name, unpack and digest one
	workPerPacked = 8    // a byte to inflate: the least that deflate makes of it costs most
	workPerXML    = 6    // a byte of a file that is read as a tree
	workPerNode   = 120  // an element of it
	workPerRef    = 300  // a reference to a file
	workPerValue  = 4    // a byte of a signature value, which its judge reads and digests several times
)

// maxKept bounds the files that are kept in memory once they were unpacked, in bytes.
const maxKept = 16 << 20

// A budget bounds the work of a verification, and caches unpacked files so that none is unpacked twice.
type budget struct {
	work, digests int64
	files         map[string][]byte // by path
	kept          int64             // bytes of files
}

func newBudget(size int64) *budget {
	return &budget{work: maxWork + workPerByte*max(0, size-freeSize), digests: MaxDigested, files: make(map[string][]byte)}
}

// opening is the part of the budget that opening may spend.
func (b *budget) opening(size int64) *budget {
	return &budget{work: min(b.work, maxOpening+openingPerByte*size), digests: b.digests, files: b.files}
}

// clone is a copy of the budget for another verification of the same files.
func (b *budget) clone() *budget {
	c := *b
	c.files = maps.Clone(b.files)
	return &c
}

// keep keeps a file that was unpacked.
func (b *budget) keep(at string, content []byte) {
	if b.kept+int64(len(content)) <= maxKept {
		b.files[at], b.kept = content, b.kept+int64(len(content))
	}
}

// spend takes units of work off the budget, or refuses.
func (b *budget) spend(units int64) error {
	if b.work -= units; b.work < 0 {
		return refuse(StepWork, "the work budget is used up: to verify the package costs more than one of its size may")
	}
	return nil
}

// digest takes the digesting of bytes off the budget, or refuses.
func (b *budget) digest(bytes int64) error {
	if b.digests -= bytes; b.digests < 0 {
		return refuse(StepWork, "the work budget is used up: its signatures ask for digests of more than %d bytes", MaxDigested)
	}
	return b.spend(bytes)
}

// unpack takes the unpacking of an entry off the budget, or refuses. Cached entries cost nothing.
func (b *budget) unpack(e *entry) error {
	if _, kept := b.files["/"+e.name]; kept {
		return nil
	}
	units := e.size / 4
	if e.method == deflated {
		units += workPerPacked * e.packed
	}
	return b.spend(units)
}

// sentence begins with a capital and ends with a full stop.
func sentence(reason string) string {
	if reason == "" {
		return ""
	}
	return strings.ToUpper(reason[:1]) + strings.TrimSuffix(reason[1:], ".") + "."
}

// names collects file names for a reason: the first few, and how many.
type names struct {
	first []string
	count int
}

// maxNamed bounds the files that a reason names.
const maxNamed = 5

func (n *names) add(name string) {
	if n.count++; len(n.first) < maxNamed {
		n.first = append(n.first, quote(name))
	}
}

// step is ok when nothing was added; else it fails with what is wrong with the names.
func (n *names) step(step, what string) check.Step {
	if n.count == 0 {
		return check.Pass(step, "")
	}
	reason := what + ": " + strings.Join(n.first, ", ")
	if more := n.count - len(n.first); more > 0 {
		reason += fmt.Sprintf(" and %d more", more)
	}
	return check.Fail(step, sentence(reason))
}
