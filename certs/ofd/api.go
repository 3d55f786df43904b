package ofd

import (
	"context"
	"io"
)

// Write makes a package of a document. Errors are ErrDocument and ErrGlyph.
func (c Config) Write(d Document) ([]byte, error) { return nil, ErrDocument }

// Sign adds a signature over every file of pkg but Signatures.xml. Signatures that are there stay valid; the new one
// covers them too. ErrSigning says that s does not fit, a *Refusal that pkg cannot be read.
func (c Config) Sign(ctx context.Context, pkg []byte, s Signing) ([]byte, error) {
	return nil, ErrSigning
}

// Annotate makes an annotated copy. ErrExpired when the notice has expired; other errors are those of Write and Sign.
func (c Config) Annotate(ctx context.Context, a Copy) ([]byte, error) { return nil, ErrDocument }

// A Package is an OFD package that was read within bounds. It is safe for concurrent use when its reader is.
type Package struct{}

// Open reads the outline of a package of size bytes: entries, OFD.xml and Document.xml. The error is a *Refusal or the
// reader's.
func Open(r io.ReaderAt, size int64) (*Package, error) { return nil, &Refusal{StepPackage, "not a zip"} }

// Data returns the metadata: CustomDatas, and when there are none those of an XML attachment.
func (p *Package) Data() []Datum { return nil }

// Verify judges the package and its signatures.
func (p *Package) Verify(ctx context.Context, j Judges) (Report, error) { return Report{}, nil }

// Verify opens and judges; a refusal is a failed step. The error is the reader's.
func Verify(ctx context.Context, r io.ReaderAt, size int64, j Judges) (Report, error) {
	return Report{}, nil
}
