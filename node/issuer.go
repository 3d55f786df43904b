package node

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/second"
	"oncegate/config"
	"oncegate/license"
	"oncegate/register"
	"oncegate/verdict"
)

// An issuer signs licenses with the departments' keys. Every signature is confirmed by both SM2 verifiers before it leaves.
type issuer struct {
	keys        *keystore.Store
	departments map[string]config.Department // by USCC
	dual        *second.DualVerifier
	now         func() time.Time
}

var _ register.Issuer = (*issuer)(nil)

func newIssuer(s *config.Setup, dual *second.DualVerifier, now func() time.Time) *issuer {
	i := &issuer{keys: s.Keys, departments: make(map[string]config.Department), dual: dual, now: now}
	for _, d := range s.Departments {
		if d.LicenseKey != "" {
			i.departments[d.USCC] = d
		}
	}
	return i
}

// Issue signs with the department's license key. A key whose certificate is out of its dates signs nothing: nobody could
// verify it.
func (i *issuer) Issue(ctx context.Context, department string, r register.Issuance) (jwt, keyID string, err error) {
	d, ok := i.departments[department]
	if !ok {
		return "", "", register.ErrNoSigner
	}
	k, err := d.FindLicenseKey(i.keys)
	if err != nil {
		return "", "", fmt.Errorf("%w: the keystore has no key %s", register.ErrNoSigner, d.LicenseKey)
	}
	chain, err := pki.ParseChain(k.Chain)
	if err != nil {
		return "", "", fmt.Errorf("%w: key %s has no certificate", register.ErrNoSigner, k.ID)
	}
	if now := i.now(); now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter) {
		return "", "", fmt.Errorf("%w: the certificate of key %s is out of its dates", register.ErrNoSigner, k.ID)
	}
	signer, err := i.keys.SignerByID(k.ID)
	if err != nil {
		return "", "", err
	}
	claims, err := claimsOf(r.Claims)
	if err != nil {
		return "", "", err
	}
	jwt, _, err = sdjwt.Issue(ctx, i.dual.Signer(signer), sdjwt.Issuance{
		Typ: verdict.LicenseType, Kid: k.ID, Chain: k.Chain, Always: r.Always, Claims: claims, Digests: r.Digests, Salt: sdjwt.Salts(r.Salt),
	})
	return jwt, k.ID, err
}

// Disclose computes disclosures again.
func (i *issuer) Disclose(list []license.Claim, salt register.Salts) ([]string, error) {
	claims, err := claimsOf(list)
	if err != nil {
		return nil, err
	}
	all, err := sdjwt.Disclose(claims, sdjwt.Salts(salt))
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(all))
	for n, d := range all {
		texts[n] = d.Text
	}
	return texts, nil
}

func claimsOf(list []license.Claim) ([]sdjwt.Claim, error) {
	claims := make([]sdjwt.Claim, len(list))
	for n, c := range list {
		value, err := jsontext.AppendQuote(nil, c.Value)
		if err != nil {
			return nil, fmt.Errorf("claim %s is not UTF-8", c.Path)
		}
		claims[n] = sdjwt.Claim{Name: c.Path, Value: value}
	}
	return claims, nil
}
