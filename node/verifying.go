package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/license"
	"oncegate/register"
	"oncegate/verdict"
)

// trust is what the gateway itself believes of what it handed out: its log, its anchors, its callers.
func (s *Setup) trust(now func() time.Time) (verdict.TrustConfig, error) {
	signer, err := s.Keys.Signer(keystore.Log, "")
	if err != nil {
		return verdict.TrustConfig{}, err
	}
	ed, err := s.Keys.Ed25519(keystore.Log, "")
	if err != nil {
		return verdict.TrustConfig{}, err
	}
	vkey, err := lognote.MarshalVKey(s.Log.Origin, publicOf(ed))
	if err != nil {
		return verdict.TrustConfig{}, err
	}
	t := s.believed()
	t.Logs = []verdict.Log{{Origin: s.Log.Origin, SM2: signer.Public(), Ed25519: vkey}}
	t.Authorities, t.Now = s.authorities(), now
	for _, id := range sortedKeys(s.Callers) {
		for _, kid := range sortedKeys(s.Callers[id].Keys) {
			t.Callers = append(t.Callers, verdict.Caller{System: id, KeyID: kid, Key: s.Callers[id].Keys[kid].Public})
		}
	}
	return t, nil
}

// believed is what the configuration believes of others, and of this gateway what needs no key.
func (s *Setup) believed() verdict.TrustConfig {
	t := verdict.TrustConfig{
		Anchors: s.Anchors, Gateway: s.Gateway.ID, Witnesses: s.Witnesses, Known: s.Known, Usages: s.Usages,
		SealAnchors: s.SealAnchors, TimeStampAnchors: s.TimeStampAnchors, Authorities: s.Authorities, Evidence: s.Evidence,
	}
	for _, d := range s.Trust.Delegations {
		t.Delegations = append(t.Delegations, verdict.Delegation{Type: d.Type, TypeCode: s.typeCode(d.Type, d.TypeCode), Issuer: d.Issuer, Delegate: d.Delegate})
	}
	for _, i := range s.Trust.Issues {
		t.Issues = append(t.Issues, verdict.Issue{Type: i.Type, TypeCode: s.typeCode(i.Type, i.TypeCode), Issuers: i.Issuers})
	}
	for _, kind := range s.Catalogue.Types {
		sound := license.CheckTypeCode(kind.Code) == nil && !slices.ContainsFunc(kind.Issuers, func(code string) bool { return license.CheckUSCC(code) != nil })
		if sound && len(kind.Issuers) > 0 { // without issuers, anybody whose certificate says so
			t.Issues = append(t.Issues, verdict.Issue{Type: kind.ID, TypeCode: kind.Code, Issuers: kind.Issuers})
		}
	}
	for _, l := range s.Trust.StatusLists {
		until, _ := verdict.ParseEnd(l.NotAfter) // it was checked
		t.StatusLists = append(t.StatusLists, verdict.ListSigner{URIPrefix: l.URIPrefix, USCC: l.USCC, Fingerprint: l.Fingerprint, NotAfter: until})
	}
	own := register.ListsURL(s.Gateway.PublicURL)
	named := slices.ContainsFunc(t.StatusLists, func(l verdict.ListSigner) bool { return strings.TrimRight(l.URIPrefix, "/")+"/" == own })
	for _, d := range s.Departments {
		if d.ID == s.Gateway.Department && !named { // whose code stands in the certificate of our status lists
			t.StatusLists = append(t.StatusLists, verdict.ListSigner{URIPrefix: own, USCC: d.USCC})
		}
	}
	return t
}

// typeCode is the one that is written, or else the catalogue's; "" where neither says it.
func (s *Setup) typeCode(id, written string) string {
	if kind, ok := s.Catalogue.Type(id); ok && written == "" {
		return kind.Code
	}
	return written
}

// authorities are those that the configuration names and those above our own keys: what certificates in seals need, which come
// alone.
func (s *Setup) authorities() []*pki.Certificate {
	all := slices.Clone(s.Authorities)
	for _, k := range s.Keys.List() {
		for _, der := range k.Chain[min(1, len(k.Chain)):] {
			c, err := pki.Parse(der)
			if err == nil && !slices.ContainsFunc(all, c.Equal) {
				all = append(all, c)
			}
		}
	}
	return all
}

// verify verifies with what the configuration believes now.
func (n *Node) verify(ctx context.Context, v api.VerifyRequest) (api.VerifyAnswer, error) {
	return n.current.Load().trust.VerifyRequest(ctx, v)
}
