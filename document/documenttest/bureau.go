// Package documenttest makes documents of the sample city with throw-away seals, and extracts all text of a document.
package documenttest

import (
	"context"
	"encoding/base32"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/document"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// A Bureau makes documents for bodies of the sample city, and counts what is signed.
type Bureau struct {
	*document.Maker
	Config document.Config
	Judges ofd.Judges // trusts the bureau's world
	Sealed atomic.Int64
	Signed atomic.Int64
}

// New returns a bureau for bodies, name by USCC, over the configuration in dir, the sample city's.
func New(tb testing.TB, w *certstest.World, dir string, bodies map[string]string) *Bureau {
	tb.Helper()
	b := &Bureau{}
	makerKey, makerChain := w.Issue("seal-maker", pki.SealMaker, "11379901MB9915186R", "云川市印章中心")
	maker := seal.Maker{Signer: makerKey, Certificate: makerChain[0]}
	png, err := sheet.DrawSeal(sheet.SealDrawing{Name: "云川市电子证照", Line: "证照专用章", Font: must(sheet.Font(sheet.Song))(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	holders, signers := map[string]seal.Holder{}, map[string]cms.Identity{}
	var known []*pki.Certificate
	for uscc, name := range bodies {
		key, chain := w.Issue("seal-"+uscc, pki.Seal, uscc, name)
		from := chain[0].NotBefore.Truncate(time.Second)
		made, err := seal.Make(tb.Context(), maker, seal.Spec{
			ID: "ES-" + uscc, Name: name + "电子证照专用章", From: from, To: from.AddDate(1, 0, 0), Signers: chain[:1],
			Picture: seal.Picture{Data: png, Width: sheet.SealDiameter, Height: sheet.SealDiameter},
		})
		if err != nil {
			tb.Fatal(err)
		}
		holders[uscc] = seal.Holder{Seal: made, Signer: counted{key, &b.Sealed}, Certificate: chain[0]}
		licenseKey, licenseChain := w.Issue("license-"+uscc, pki.License, uscc, name)
		signers[uscc] = cms.Identity{Signer: counted{licenseKey, &b.Signed}, Chain: licenseChain}
		known = append(known, chain[1:]...)
	}
	b.Config = document.Config{
		Catalogue: catalogue(tb, dir), Layouts: layouts(tb, dir), CodeURL: CodeURL,
		Seal: func(issuer string) (seal.Holder, error) {
			if h, ok := holders[issuer]; ok {
				return h, nil
			}
			return seal.Holder{}, register.ErrNoSeal
		},
		Signer: func(issuer string) (cms.Identity, error) {
			if s, ok := signers[issuer]; ok {
				return s, nil
			}
			return cms.Identity{}, register.ErrNoSigner
		},
	}
	trust := w.Trust()
	b.Judges = ofd.Judges{
		Seal: ofd.JudgeSeal(seal.Expect{Trust: trust, Intermediates: append(known, makerChain[1:]...)}),
		CMS:  ofd.JudgeCMS(&cms.Verifier{Chain: trust.Chain, Usage: pki.License}),
	}
	b.Maker = must(document.New(b.Config))(tb)
	return b
}

// CodeURL is the address in the QR codes of a bureau: as long as a real one, and another for every version and tail.
func CodeURL(v register.Version, tail string) string {
	sum := sm.Digest([]byte(v.Identifier), []byte(tail))
	return "HTTPS://GATEWAY.EXAMPLE/V/" + base32.StdEncoding.EncodeToString(sum[:])[:document.CodeLength]
}

// A counted signer counts.
type counted struct {
	sm.Signer
	n *atomic.Int64
}

func (c counted) Sign(ctx context.Context, message []byte) ([]byte, error) {
	c.n.Add(1)
	return c.Signer.Sign(ctx, message)
}

func catalogue(tb testing.TB, dir string) *license.Catalogue {
	tb.Helper()
	c := new(license.Catalogue)
	if err := yaml.UnmarshalWithOptions(must(os.ReadFile(filepath.Join(dir, "catalogue.yaml")))(tb), c, yaml.Strict()); err != nil {
		tb.Fatal(err)
	}
	return c
}

func layouts(tb testing.TB, dir string) *sheet.Layouts {
	tb.Helper()
	var files []sheet.File
	for _, name := range must(filepath.Glob(filepath.Join(dir, "layouts", "*.yaml")))(tb) {
		files = append(files, sheet.File{Path: name, Data: must(os.ReadFile(name))(tb)})
	}
	l, faults := sheet.Load(sheet.Config{Files: files})
	for _, f := range faults {
		tb.Errorf("%s: %s", f.Path, f.Reason)
	}
	if l == nil {
		tb.FailNow()
	}
	return l
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}
