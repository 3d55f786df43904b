// Package document renders licenses as documents (证照文件, GB/T 36905): it composes a license's content, its layout and its
// department's seal into a file.
//
// The original is the whole license, sealed with the issuing department's electronic seal (GB/T 38540, Type=Seal), once for
// each version; the register keeps it. An annotated copy (加注件) is drawn for one use from the granted claims alone. It is
// signed by itself with the department's license key (Type=Sign, GB/T 35275): the key that vouches for what a release says.
// It shows no seal, neither as a signature nor as a picture, because the seal stands for the whole license, and it notes
// every place for a field that was not granted. A license that is not in force has neither: what is drawn of it says so across
// the page.
package document

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// Forms of a document.
const (
	OFD = "ofd"
	PDF = "pdf"
	PNG = "png" // for people, never released as a copy
	SVG = "svg" // the same
)

// ErrForm: the form is unknown.
var ErrForm = errors.New("unknown document form: want ofd, pdf, png or svg")

// Config is the configuration of a Maker. Catalogue, Layouts and CodeURL are required.
type Config struct {
	Catalogue *license.Catalogue
	Layouts   *sheet.Layouts
	// CodeURL returns what the QR code of a document of a version opens: Codes.URL.
	CodeURL func(v register.Version, tail string) string

	// Seal finds the seal of a body by its USCC, with a key that may use it; register.ErrNoSeal if it has none. Nil: nobody
	// has one.
	Seal func(issuer string) (seal.Holder, error)
	// Signer finds who signs for a body; register.ErrNoSigner if nobody does. Nil: nobody does.
	Signer func(issuer string) (cms.Identity, error)

	// Unstamped is called with the error when an original was sealed without a time stamp although Seal names an authority. The
	// signature then has no proven time, and verification reports that. Nil: not called.
	Unstamped func(error)

	// Evidence collects revocation evidence of a signing certificate (CRLs, OCSP responses) to be stapled to the signature. An
	// error that is pki.ErrRevoked keeps the certificate from signing, any other is passed to Unstapled. Nil: none is stapled.
	Evidence func(ctx context.Context, certificate *pki.Certificate) (*revocation.Evidence, error)
	// Unstapled is called with the error when a document was signed without revocation evidence. Nil: not called.
	Unstapled func(error)

	// AtOnce is how many documents are drawn concurrently (a semaphore): drawing is processor-bound, and queries without documents
	// must not wait for it. Default: half of the processors, at least one.
	AtOnce int

	VerifyBoth sm.VerifyFunc    // checks signatures of copies before they leave; nil means sm.Verify
	Now        func() time.Time // nil means time.Now
}

// A Maker makes documents. It is safe for concurrent use.
type Maker struct {
	config Config
	slots  chan struct{} // semaphore: one slot per document that is being drawn
}

// New returns a Maker with the defaults filled in.
func New(c Config) (*Maker, error) {
	if c.Catalogue == nil || c.Layouts == nil || c.CodeURL == nil {
		return nil, errors.New("make documents: catalogue, layouts and addresses of codes are required")
	}
	if c.Seal == nil {
		c.Seal = func(string) (seal.Holder, error) { return seal.Holder{}, register.ErrNoSeal }
	}
	if c.Signer == nil {
		c.Signer = func(string) (cms.Identity, error) { return cms.Identity{}, register.ErrNoSigner }
	}
	if c.Unstamped == nil {
		c.Unstamped = func(error) {}
	}
	if c.Evidence == nil {
		c.Evidence = func(context.Context, *pki.Certificate) (*revocation.Evidence, error) { return nil, nil }
	}
	if c.Unstapled == nil {
		c.Unstapled = func(error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AtOnce <= 0 {
		c.AtOnce = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Maker{c, make(chan struct{}, c.AtOnce)}, nil
}

// Original draws a whole license and seals it with its issuer's seal. claims are all that the version says. The error is
// register.ErrNoSeal, or a *sheet.Error where the page cannot be drawn.
func (m *Maker) Original(ctx context.Context, v register.Version, claims []license.Claim) ([]byte, error) {
	pkg, err := m.original(ctx, v, claims)
	if err != nil {
		return nil, fmt.Errorf("make original: %w", err)
	}
	return pkg, nil
}

func (m *Maker) original(ctx context.Context, v register.Version, claims []license.Claim) ([]byte, error) {
	holder, err := m.config.Seal(v.Issuer)
	if err != nil {
		return nil, err
	}
	if holder.Evidence, err = m.evidence(ctx, holder.Certificate, register.ErrNoSeal); err != nil {
		return nil, err
	}
	page, pkg, err := m.unsealed(ctx, v, claims)
	if err != nil {
		return nil, err
	}
	return m.ofd().Sign(ctx, pkg, ofd.Signing{Seal: m.sealing(holder), Stamps: ofd.Stamps(&page)})
}

// evidence collects what is stapled to a signature. A revoked certificate signs nothing: the error is none.
func (m *Maker) evidence(ctx context.Context, c *pki.Certificate, none error) (*revocation.Evidence, error) {
	e, err := m.config.Evidence(ctx, c)
	switch {
	case errors.Is(err, pki.ErrRevoked):
		return nil, fmt.Errorf("%w: %w", none, err)
	case err != nil:
		m.config.Unstapled(err) // what there is is stapled all the same
	}
	return e, nil
}

// unsealed is the package of a whole license without its seal. It takes a slot only for drawing: sealing may wait for a time stamp.
func (m *Maker) unsealed(ctx context.Context, v register.Version, claims []license.Claim) (page sheet.Page, pkg []byte, err error) {
	done, err := m.slot(ctx)
	if err != nil {
		return page, nil, err
	}
	defer done()
	if page, err = m.page(v, claims, sheet.Content{}); err != nil {
		return page, nil, err
	}
	if page.Seal == nil {
		return page, nil, &sheet.Error{Code: sheet.NoSealPlace, Field: "seal"}
	}
	pkg, err = m.ofd().Write(ofd.Document{Title: page.Title, Data: m.data(v, claims), Pages: []*sheet.Page{&page}})
	return page, pkg, err
}

// slot waits for a slot to draw in; done releases it.
func (m *Maker) slot(ctx context.Context) (done func(), err error) {
	select {
	case m.slots <- struct{}{}:
		return func() { <-m.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// sealing seals with a time stamp where the authority answers, else without.
func (m *Maker) sealing(h seal.Holder) ofd.SealFunc {
	return func(ctx context.Context, digest [32]byte, path string) (value, esl []byte, err error) {
		var unstamped error
		if get := h.TimeStamp; get != nil {
			h.TimeStamp = func(ctx context.Context, signature []byte) ([]byte, error) {
				token, err := get(ctx, signature)
				unstamped = err
				return token, err
			}
		}
		value, esl, err = ofd.SealWith(h)(ctx, digest, path)
		if err != nil && unstamped != nil && ctx.Err() == nil {
			m.config.Unstamped(unstamped)
			h.TimeStamp = nil
			value, esl, err = ofd.SealWith(h)(ctx, digest, path)
		}
		if errors.Is(err, seal.ErrPeriod) || errors.Is(err, seal.ErrNotListed) || errors.Is(err, seal.ErrKey) {
			err = fmt.Errorf("%w: %w", register.ErrNoSeal, err)
		}
		return value, esl, err
	}
}

// Copy makes an annotated copy for one use, as OFD or PDF: granted are the claims that may leave, and nothing else of the
// license is drawn or said. fields are the fields that were granted, those that the license does not state among them; the page
// notes every other. original is the SM3 of the original. The PDF has the same page and watermark, and no signature: the record
// of its release binds it. The error is register.ErrNoSigner, or a *sheet.Error where the page cannot be drawn.
func (m *Maker) Copy(ctx context.Context, form string, v register.Version, granted []license.Claim, fields []string, n ofd.Notice, original [32]byte) ([]byte, error) {
	made, err := m.copy(ctx, form, v, granted, fields, n, original)
	if err != nil {
		return nil, fmt.Errorf("make annotated copy: %w", err)
	}
	return made, nil
}

func (m *Maker) copy(ctx context.Context, form string, v register.Version, granted []license.Claim, fields []string, n ofd.Notice, original [32]byte) ([]byte, error) {
	var sign ofd.SignFunc
	if form == OFD { // before a slot is taken: evidence may have to be fetched
		var err error
		if sign, err = m.signing(ctx, v.Issuer); err != nil {
			return nil, err
		}
	}
	done, err := m.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	page, err := m.page(v, granted, sheet.Content{Copy: true, Granted: fields, Watermark: strings.Join(n.Lines(), "\n")})
	if err != nil {
		return nil, err
	}
	switch form {
	case OFD:
		return m.ofd().Annotate(ctx, ofd.Copy{
			OriginalSM3: original[:], Notice: n, Signing: ofd.Signing{Sign: sign},
			Document: ofd.Document{Title: page.Title, Data: m.data(v, granted), Pages: []*sheet.Page{&page}},
		})
	case PDF:
		return drawn(form, page)
	}
	return nil, ErrForm
}

// signing signs copies for a body, with revocation evidence of its certificate stapled.
func (m *Maker) signing(ctx context.Context, issuer string) (ofd.SignFunc, error) {
	identity, err := m.config.Signer(issuer)
	if err != nil {
		return nil, err
	}
	message := cms.Config{Bare: true, Now: m.config.Now, VerifyBoth: m.config.VerifyBoth}
	if len(identity.Chain) > 0 {
		e, err := m.evidence(ctx, identity.Chain[0], register.ErrNoSigner)
		if err == nil && e != nil {
			message.CRLs, message.OCSP, err = e.Parts()
		}
		if err != nil {
			return nil, err
		}
	}
	return ofd.SignWith(message, identity), nil
}

// Show draws a whole license as PDF, PNG or SVG, with a picture of its issuer's seal, for the department that issued it. It
// is a picture and proves nothing. overprint stands large across the page: why the license is not in force; empty if it is.
// Errors are those of [Maker.Original].
func (m *Maker) Show(ctx context.Context, form string, v register.Version, claims []license.Claim, overprint string) ([]byte, error) {
	made, err := m.show(ctx, form, v, claims, overprint)
	if err != nil {
		return nil, fmt.Errorf("show license: %w", err)
	}
	return made, nil
}

func (m *Maker) show(ctx context.Context, form string, v register.Version, claims []license.Claim, overprint string) ([]byte, error) {
	holder, err := m.config.Seal(v.Issuer)
	if err != nil {
		return nil, err
	}
	done, err := m.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	page, err := m.page(v, claims, sheet.Content{Overprint: overprint})
	if err != nil {
		return nil, err
	}
	if page, err = page.Stamp(holder.Seal.Picture.Data); err != nil {
		return nil, err
	}
	return drawn(form, page)
}

func (m *Maker) ofd() ofd.Config { return ofd.Config{Now: m.config.Now} }
