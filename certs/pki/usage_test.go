package pki_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
)

// Object identifiers of a made-up authority's policies, and extended key usages.
var (
	licensePolicy = asn1.ObjectIdentifier{1, 2, 156, 99999, 1, 1}
	statusPolicy  = asn1.ObjectIdentifier{1, 2, 156, 99999, 1, 2}
	anyPolicy     = asn1.ObjectIdentifier{2, 5, 29, 32, 0}
	emailEKU      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
)

// policies and ekus are the extensions that name them.
func policies(t *testing.T, ids ...asn1.ObjectIdentifier) pkix.Extension {
	t.Helper()
	list := make([]struct{ ID asn1.ObjectIdentifier }, len(ids))
	for i, id := range ids {
		list[i].ID = id
	}
	return marshalled(t, asn1.ObjectIdentifier{2, 5, 29, 32}, list)
}

func ekus(t *testing.T, ids ...asn1.ObjectIdentifier) pkix.Extension {
	return marshalled(t, asn1.ObjectIdentifier{2, 5, 29, 37}, ids)
}

func marshalled(t *testing.T, id asn1.ObjectIdentifier, value any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: id, Value: der}
}

// Under an authority whose subscribers choose their OU, the OU counts for nothing: usage is what the rule of the anchor reads.
func TestUsageRules(t *testing.T) {
	w := certstest.New(t, "rules")
	subject := w.Signer("dept-1").Public()
	// issue makes a leaf whose subscriber chose OU "license", below an authority with the extensions given.
	issue := func(above, own []pkix.Extension) []*pki.Certificate {
		sub := variant(t, w, w.Root, "ca-root", w.Signer("ca-x").Public(), func(c *pki.Certificate) {
			c.IsCA, c.KeyUsage = true, smx509.KeyUsageCertSign
			c.Subject = pkix.Name{Organization: []string{"示例"}, CommonName: "ca-x"}
			c.ExtraExtensions = above
		})
		ca, err := pki.LoadCA(pki.Config{}, []*pki.Certificate{sub}, w.Signer("ca-x"))
		if err != nil {
			t.Fatal(err)
		}
		leaf := variant(t, w, ca, "ca-x", subject, func(c *pki.Certificate) { c.ExtraExtensions = own })
		return []*pki.Certificate{leaf, sub}
	}
	exts := func(list ...pkix.Extension) []pkix.Extension { return list }
	byPolicy := pki.UsageRule{From: pki.FromPolicy, Usages: map[string]string{licensePolicy.String(): pki.License, statusPolicy.String(): pki.Status}}
	byEKU := pki.UsageRule{From: pki.FromEKU, Usages: map[string]string{licensePolicy.String(): pki.License, statusPolicy.String(): pki.Status}}
	open := exts(policies(t, anyPolicy))
	for _, c := range []struct {
		name  string
		rule  pki.UsageRule
		chain []*pki.Certificate
		usage string // "" for none
	}{
		{"no rule", pki.UsageRule{}, issue(nil, exts(policies(t, statusPolicy))), pki.License},
		{"ou", pki.UsageRule{From: pki.FromOU}, issue(nil, exts(policies(t, statusPolicy))), pki.License},
		{"policy", byPolicy, issue(open, exts(policies(t, licensePolicy))), pki.License},
		{"policy against the OU", byPolicy, issue(open, exts(policies(t, statusPolicy))), pki.Status},
		{"policy named above", byPolicy, issue(exts(policies(t, statusPolicy)), exts(policies(t, statusPolicy))), pki.Status},
		{"policy that the authority above does not have", byPolicy, issue(exts(policies(t, licensePolicy)), exts(policies(t, statusPolicy))), ""},
		{"policy under an authority without any", byPolicy, issue(nil, exts(policies(t, statusPolicy))), ""},
		{"another policy beside", byPolicy, issue(open, exts(policies(t, anyPolicy, statusPolicy))), pki.Status},
		{"two usages", byPolicy, issue(open, exts(policies(t, licensePolicy, statusPolicy))), ""},
		{"no policy, OU alone", byPolicy, issue(open, nil), ""},
		{"an EKU where policies count", byPolicy, issue(open, exts(ekus(t, statusPolicy))), ""},
		{"eku", byEKU, issue(nil, exts(ekus(t, emailEKU, statusPolicy))), pki.Status},
		{"eku, OU alone", byEKU, issue(nil, nil), ""},
		{"eku unknown", byEKU, issue(nil, exts(ekus(t, emailEKU))), ""},
		{"eku that the authority above does not have", byEKU, issue(exts(ekus(t, emailEKU)), exts(ekus(t, statusPolicy))), ""},
		{"a policy where EKUs count", byEKU, issue(open, exts(policies(t, statusPolicy))), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			trust := pki.Trust{Anchors: []*pki.Certificate{w.Root.Certificate()}, Usages: map[string]pki.UsageRule{pki.Fingerprint(w.Root.Certificate()): c.rule}}
			v, err := pki.NewVerifier(trust)
			if err != nil {
				t.Fatal(err)
			}
			for _, usage := range []string{pki.License, pki.Status} {
				leaf, err := v.Chain(c.chain[0], c.chain[1:], certstest.Epoch, usage)
				if usage == c.usage && (err != nil || leaf.Usage != usage) || usage != c.usage && !errors.Is(err, pki.ErrWrongUsage) {
					t.Errorf("for %s: %q, %v", usage, leaf.Usage, err)
				}
			}
			if leaf, err := v.Describe(c.chain[0], c.chain[1:], certstest.Epoch); err != nil || leaf.Usage != c.usage {
				t.Errorf("described: %q, %v", leaf.Usage, err)
			}
			// A word on one certificate goes before the rule.
			trust.Known = map[string]pki.Known{pki.Fingerprint(c.chain[0]): {USCC: uscc, Usage: pki.Seal}}
			if v, err = pki.NewVerifier(trust); err != nil {
				t.Fatal(err)
			}
			if _, err := v.Chain(c.chain[0], c.chain[1:], certstest.Epoch, pki.Seal); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUsageRuleFaults(t *testing.T) {
	for name, r := range map[string]pki.UsageRule{
		"nowhere":            {},
		"elsewhere":          {From: "o"},
		"identifiers for OU": {From: pki.FromOU, Usages: map[string]string{"1.2.3": pki.License}},
		"no identifier":      {From: pki.FromEKU},
		"no such usage":      {From: pki.FromEKU, Usages: map[string]string{"1.2.3": "licence"}},
		"any policy":         {From: pki.FromPolicy, Usages: map[string]string{"2.5.29.32.0": pki.License}},
		"any EKU":            {From: pki.FromEKU, Usages: map[string]string{"2.5.29.37.0": pki.License}},
		"no OID":             {From: pki.FromPolicy, Usages: map[string]string{"1.02.3": pki.License}},
		"a word":             {From: pki.FromPolicy, Usages: map[string]string{"license": pki.License}},
	} {
		if r.Check() == nil {
			t.Errorf("%s: %+v is accepted", name, r)
		}
	}
	for _, r := range []pki.UsageRule{{From: pki.FromOU}, {From: pki.FromPolicy, Usages: map[string]string{"1.2.156.99999.1.1": pki.License}}} {
		if err := r.Check(); err != nil {
			t.Error(err)
		}
	}
}
