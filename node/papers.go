package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/certs/timestamp"
	papers "oncegate/document"
	"oncegate/fault"
	"oncegate/gateway"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// layouts reads the layouts and fonts of documents.
func (l *loader) layouts() {
	var c sheet.Config
	where := map[string]string{} // of a fault's path: the file's name
	for i, pattern := range l.setup.Data.Layouts {
		at := fmt.Sprintf("$.data.layouts[%d]", i)
		for _, name := range l.expand(at, pattern) {
			if data, ok := l.bytes(at, name); ok {
				c.Files = append(c.Files, sheet.File{Path: l.relative(name), Data: data})
			}
		}
	}
	for i, f := range l.setup.Data.Fonts {
		at := fmt.Sprintf("$.data.fonts[%d]", i)
		where[f.Name] = at
		if data, ok := l.bytes(at+".file", f.File); ok {
			c.Fonts = append(c.Fonts, sheet.FontFile{Name: f.Name, Data: data})
		}
	}
	if len(c.Files) == 0 {
		l.unless(len(c.Fonts) == 0, "$.data.fonts", "fonts are for layouts, and there are none")
		return
	}
	catalogue := l.setup.Catalogue
	c.Knows = func(licenseType, field string) bool {
		t, ok := catalogue.Type(licenseType)
		_, has := t.Field(field)
		return !ok || has // of types that no catalogue of this city has, nothing is known
	}
	l.setup.layoutsOf = layoutsOf(c, catalogue)
	if l.was != nil && l.was.Layouts != nil && l.was.layoutsOf == l.setup.layoutsOf {
		l.setup.Layouts = l.was.Layouts // unpacking fonts and laying out takes half of a reload
		return
	}
	layouts, faults := sheet.Load(c)
	for _, f := range faults {
		if at, ok := where[f.Place.File]; ok { // a font
			f.Place = l.doc.At(at)
		}
		l.place(fault.List{f}, false)
	}
	l.setup.Layouts = layouts
}

// layoutsOf is a digest of all that layouts are made of.
func layoutsOf(c sheet.Config, catalogue *license.Catalogue) [sm.DigestSize]byte {
	h := sm.New()
	for _, f := range c.Files {
		fmt.Fprintf(h, "%q %d %s", f.Path, len(f.Data), f.Data)
	}
	for _, f := range c.Fonts {
		fmt.Fprintf(h, "%q %d %s", f.Name, len(f.Data), f.Data)
	}
	fmt.Fprintf(h, "%+v", catalogue.Types)
	return [sm.DigestSize]byte(h.Sum(nil))
}

// checkLives looks at how long what holders sign is good for.
func (l *loader) checkLives() {
	within := func(d Duration, least, most time.Duration) bool {
		return d == 0 || time.Duration(d) >= least && time.Duration(d) <= most
	}
	g := l.setup.Gateway
	l.unless(within(g.AssertionLife, time.Minute, 24*time.Hour), "$.gateway.assertion_life", "an assertion may be used for 1m to 24h")
	l.unless(within(g.ConsentLife, time.Hour, 43848*time.Hour), "$.gateway.consent_life", "a consent may stand for 1h to 43848h")
}

// checkDocuments looks at what documents need besides.
func (l *loader) checkDocuments() {
	g := l.setup.Gateway
	l.unless(g.CopyLife == 0 || time.Duration(g.CopyLife) >= time.Hour && time.Duration(g.CopyLife) <= 8784*time.Hour, "$.gateway.copy_life", "an annotated copy may be used for 1h to 8784h")
	l.unless(l.setup.Retention.Originals >= 0, "$.retention.originals", "originals cannot be kept for less than nothing")
	t := l.setup.Timestamp
	l.unless(t.URL != "" || t.Wait == 0, "$.timestamp.url", "the authority's URL is missing")
	l.unless(t.URL == "" || strings.HasPrefix(t.URL, "http://") || strings.HasPrefix(t.URL, "https://"), "$.timestamp.url", "an http or https URL is expected")
	l.unless(t.Wait >= 0 && time.Duration(t.Wait) <= 10*time.Second, "$.timestamp.wait", "a release waits for a time stamp for at most 10s")
}

// documents makes what draws and seals by a setup; nil where there are no layouts.
func (n *Node) documents(s *Setup) (gateway.Documents, error) {
	if s.Layouts == nil {
		return nil, nil
	}
	stamp, err := n.stamp(s)
	if err != nil {
		return nil, err
	}
	evidence, err := n.evidence(s)
	if err != nil {
		return nil, err
	}
	departments := make(map[string]Department, len(s.Departments))
	for _, d := range s.Departments {
		departments[d.USCC] = d
	}
	maker, err := papers.New(papers.Config{
		Catalogue: s.Catalogue, Layouts: s.Layouts, Confirm: confirm, Now: n.Now,
		Seal: func(issuer string) (seal.Holder, error) {
			h, err := s.sealHolder(departments[issuer])
			h.Now, h.Confirm, h.TimeStamp = n.Now, confirm, stamp
			return h, err
		},
		Signer:   func(issuer string) (cms.Identity, error) { return s.copySigner(departments[issuer]) },
		Evidence: evidence,
		Unstapled: func(err error) {
			n.metrics.unstapled.Inc()
			n.Logger.Warn("a document was signed without evidence that its signer's certificate stands", "error", err.Error())
		},
		Unstamped: func(err error) {
			n.metrics.unstamped.Inc()
			n.Logger.Warn("a license was sealed without a time stamp", "error", err.Error())
		},
	})
	if err != nil {
		return nil, err // not a *Maker that is nil
	}
	return maker, nil
}

// evidence collects what travels with documents; nil where there is nothing.
func (n *Node) evidence(s *Setup) (func(context.Context, *pki.Certificate) (*revocation.Evidence, error), error) {
	c, err := n.stapler(s)
	if c == nil || err != nil {
		return nil, err
	}
	return c.collect, nil
}

// sealHolder is a department with its seal.
func (s *Setup) sealHolder(d Department) (seal.Holder, error) {
	made := s.Seals[d.USCC]
	if made == nil {
		return seal.Holder{}, register.ErrNoSeal
	}
	k, err := sealKey(s.Keys, d, made)
	if err != nil {
		return seal.Holder{}, fmt.Errorf("%w: the keystore has no key %s", register.ErrNoSeal, d.Seal.Key)
	}
	chain, err := pki.ParseChain(k.Chain)
	if err != nil {
		return seal.Holder{}, fmt.Errorf("%w: key %s has no certificate", register.ErrNoSeal, k.ID)
	}
	signer, err := s.Keys.SignerByID(k.ID)
	return seal.Holder{Seal: made, Signer: signer, Certificate: chain[0]}, err
}

// copySigner is a department's license key, which signs annotated copies too.
func (s *Setup) copySigner(d Department) (cms.Identity, error) {
	if d.LicenseKey == "" {
		return cms.Identity{}, register.ErrNoSigner
	}
	k, err := licenseKey(s.Keys, d)
	if err != nil {
		return cms.Identity{}, fmt.Errorf("%w: the keystore has no key %s", register.ErrNoSigner, d.LicenseKey)
	}
	chain, err := pki.ParseChain(k.Chain)
	if err != nil {
		return cms.Identity{}, fmt.Errorf("%w: key %s has no certificate", register.ErrNoSigner, k.ID)
	}
	signer, err := s.Keys.SignerByID(k.ID)
	return cms.Identity{Signer: signer, Chain: chain}, err
}

const (
	stampWait = 2 * time.Second  // default of timestamp.wait
	stampRest = 30 * time.Second // how long an authority that failed is left in peace
)

// errResting says that the time-stamping authority failed a moment ago.
var errResting = fmt.Errorf("%w: it failed a moment ago", timestamp.ErrUnavailable)

// stamp gets time stamps from the authority of a setup, each within a bounded wait; nil where there is none. One that failed is
// left in peace for a while, so that not every first release of a license waits for it.
func (n *Node) stamp(s *Setup) (func(ctx context.Context, signature []byte) ([]byte, error), error) {
	if s.Timestamp.URL == "" {
		return nil, nil
	}
	chains, err := pki.NewVerifier(pki.Trust{Anchors: slices.Concat(s.Anchors, s.TimeStampAnchors), Known: s.Known, Usages: s.Usages, Confirm: confirm})
	if err != nil {
		return nil, err
	}
	client := &timestamp.Client{
		URL: s.Timestamp.URL, Verifier: &timestamp.Verifier{Chain: chains.Chain, Certificates: s.Authorities, Voice: confirm, Now: n.Now}, Tries: 1, Timeout: stampWait,
	}
	if s.Timestamp.Wait > 0 {
		client.Timeout = time.Duration(s.Timestamp.Wait)
	}
	var mu sync.Mutex // protects resting
	var resting time.Time
	return func(ctx context.Context, signature []byte) ([]byte, error) {
		mu.Lock()
		rest := time.Now().Before(resting)
		mu.Unlock()
		if rest {
			return nil, errResting
		}
		token, err := client.Stamp(ctx, signature)
		if err != nil && ctx.Err() == nil {
			mu.Lock()
			resting = time.Now().Add(stampRest)
			mu.Unlock()
		}
		return token, err
	}, nil
}
