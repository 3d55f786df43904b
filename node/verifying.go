package node

import (
	"context"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/client"
)

// trust is what the gateway itself believes of what it handed out: its log, its anchors, its callers.
func (s *Setup) trust(now func() time.Time) (client.TrustConfig, error) {
	signer, err := s.Keys.Signer(keystore.Log, "")
	if err != nil {
		return client.TrustConfig{}, err
	}
	ed, err := s.Keys.Ed25519(keystore.Log, "")
	if err != nil {
		return client.TrustConfig{}, err
	}
	vkey, err := lognote.MarshalVKey(s.Log.Origin, publicOf(ed))
	if err != nil {
		return client.TrustConfig{}, err
	}
	t := client.TrustConfig{
		Logs:    []client.Log{{Origin: s.Log.Origin, SM2: signer.Public(), Ed25519: vkey}},
		Anchors: s.Anchors, Gateway: s.Gateway.ID, Witnesses: s.Trust.Witnesses, Known: s.Known, Now: now,
		SealAnchors: s.SealAnchors, TimeStampAnchors: s.TimeStampAnchors, Authorities: s.authorities(), Evidence: s.Evidence,
	}
	for _, id := range sortedKeys(s.Callers) {
		for _, kid := range sortedKeys(s.Callers[id].Keys) {
			t.Callers = append(t.Callers, client.Caller{System: id, KeyID: kid, Key: s.Callers[id].Keys[kid].Public})
		}
	}
	for _, d := range s.Trust.Delegations {
		t.Delegations = append(t.Delegations, client.Delegation(d))
		if kind, ok := s.Catalogue.Type(d.Type); ok && kind.Code != "" { // documents name their type by its code
			t.Delegations = append(t.Delegations, client.Delegation{Type: kind.Code, Issuer: d.Issuer, Delegate: d.Delegate})
		}
	}
	return t, nil
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
