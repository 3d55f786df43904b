package gateway

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"io/fs"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/certs/token"
	"oncegate/gateway/intake"
	"oncegate/gateway/sources"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
)

// A Snapshot is everything that configuration says, checked as a whole. It never changes; reloading makes another one and
// the gateway swaps them, so that a call sees one configuration from its first to its last step.
type Snapshot struct {
	Catalogue   *license.Catalogue
	Book        *cases.Book
	Calendar    *cases.Calendar
	Policy      *policy.Set
	Systems     map[string]System   // by id
	Departments map[string]string   // id → name
	Sources     []sources.Config    //
	Serves      map[string]string   // license type → id of the source that has it
	Results     map[string]bool     // ids of sources that have what cases end with (结果证照): their licenses are issued here
	Assertions  map[string]Asserter // issuer of identity assertions → its key
	// IdentityServices are the services whose actor tokens are trusted, by iss, each with the systems and roles it may speak of.
	IdentityServices map[string]token.IdentityService
	Subjects         map[string]string  // identity service whose subjects are holders themselves → type of their codes
	Holders          *cases.HolderRules // what holders are told; nil: the defaults
	Maintenance      []Maintenance      // planned, of sources; those of one source do not overlap
	Register         *register.Register // signs by this catalogue and with the departments' keys of this configuration
	Documents        Documents          // nil: no license has a document form
	CopyLife         time.Duration      // how long an annotated copy may be used; 0: 30 days

	AssertionLife time.Duration // how long after it was signed an assertion may be used; 0: 1 hour
	ConsentLife   time.Duration // how long after it was given a consent stands at most; 0: 366 days
}

// A System is a caller (业务系统).
type System struct {
	ID, Name, Department string
	Keys                 map[string]Key // by kid
	Rate                 float64        // calls per second; 0: 100
	Burst                int            // 0: twice the rate
	Share                float64        // weight in what is divided among all systems; 0: 1
}

// allowance is what the system may use, with the defaults.
func (s System) allowance() intake.Allowance {
	a := intake.Allowance{Rate: cmp.Or(s.Rate, 100), Burst: s.Burst, Share: cmp.Or(s.Share, 1)}
	a.Burst = cmp.Or(a.Burst, max(1, int(2*a.Rate)))
	return a
}

// A Key verifies a system's calls while its certificate is valid.
type Key struct {
	Public              *ecdsa.PublicKey
	NotBefore, NotAfter time.Time // zero: no bound
}

// An Asserter is somebody whose signed assertions prove that a holder agrees: an identity service.
type Asserter struct {
	Name string
	Key  Key
}

// running is a Snapshot with its sources made resilient.
type running struct {
	*Snapshot
	sources   map[string]*sources.Resilient
	matters   map[string]bool // codes of the book
	materials map[string]bool // codes of all its matters
	decoy     cases.Case      // stands in for an unknown case (timing side channel)
}

// indexCodes collects the codes of matters and materials, because unknown ones must stand in no record, and makes the decoy: a
// case of a known matter, of no party and no registrar.
func (r *running) indexCodes() {
	r.matters, r.materials = make(map[string]bool), make(map[string]bool)
	for _, m := range r.Book.Matters {
		r.matters[m.Code] = true
		for _, material := range m.Materials {
			r.materials[material.Code] = true
		}
		if r.decoy.Matter == "" && !m.IsChain() {
			nobody := cases.Party{Role: cases.Applicant, Holder: license.HolderID{Type: "111", Code: "000000000000000000"}}
			r.decoy = cases.Case{Matter: m.Code, Attestation: cases.Self, Parties: []cases.Party{nobody, nobody}}
		}
	}
}

// The lives of assertions and consents where the configuration does not say.
const (
	defaultAssertionLife = time.Hour
	defaultConsentLife   = 366 * 24 * time.Hour
)

func (s *Snapshot) assertionLife() time.Duration {
	return cmp.Or(s.AssertionLife, defaultAssertionLife)
}

func (s *Snapshot) consentLife() time.Duration { return cmp.Or(s.ConsentLife, defaultConsentLife) }

// key finds the key of a caller. fs.ErrNotExist: no such key.
func (r *running) key(system, kid string, now time.Time) (*ecdsa.PublicKey, error) {
	k, ok := r.Systems[system].Keys[kid]
	switch {
	case !ok:
		return nil, fs.ErrNotExist
	case !k.NotBefore.IsZero() && now.Before(k.NotBefore):
		return nil, intake.ErrNotYetCertified
	case !k.NotAfter.IsZero() && now.After(k.NotAfter):
		return nil, intake.ErrCertificateExpired
	}
	return k.Public, nil
}

// source returns the source that serves a license type; nil where none does.
func (r *running) source(licenseType string) *sources.Resilient {
	return r.sources[r.Serves[licenseType]]
}

// provider is the department whose source serves a license type; "" where none does.
func (r *running) provider(licenseType string) string {
	if s := r.source(licenseType); s != nil {
		return s.Department
	}
	return ""
}

// types lists the license types of the catalogue (GET /v1/catalog/types).
func (g *Gateway) types(_ context.Context, c *call, _ struct{}) (*result, error) {
	answer := api.TypesAnswer{List: c.config.Catalogue.List, Types: []api.CatalogType{}}
	for _, t := range c.config.Catalogue.Types {
		answer.Types = append(answer.Types, catalogType(t))
	}
	return &result{answer: answer}, nil
}

func catalogType(t license.Type) api.CatalogType {
	out := api.CatalogType{ID: t.ID, Code: t.Code, Name: t.Name, NameEn: t.NameEN, HolderCategory: t.HolderCategory, Fields: []api.CatalogField{}}
	for _, f := range t.Fields {
		out.Fields = append(out.Fields, api.CatalogField{
			Name: f.Name, Title: f.Title, TitleEn: f.TitleEN, Kind: f.Kind, Required: f.Required, PerHolder: f.PerHolder, Sensitive: f.Sensitive,
		})
	}
	return out
}

// matters lists the matters of the book with their materials (GET /v1/catalog/matters).
func (g *Gateway) matters(_ context.Context, c *call, _ struct{}) (*result, error) {
	answer := api.MattersAnswer{Matters: []api.CatalogMatter{}}
	for _, m := range c.config.Book.Matters {
		out := api.CatalogMatter{
			Code: m.Code, Name: m.Name, NameEn: m.NameEN, Department: m.Department, Roles: []string{}, Materials: []api.CatalogMaterial{}, Chain: m.Chain,
		}
		for _, r := range m.Roles {
			out.Roles = append(out.Roles, r.Name)
		}
		for _, k := range m.Materials {
			out.Materials = append(out.Materials, api.CatalogMaterial{
				Code: k.Code, Name: k.Name, NameEn: k.NameEN, Need: int(k.Need), Route: k.Route, LicenseType: k.LicenseType, Role: k.Role,
				FilingType: k.Filing,
				Fallback:   api.CatalogFallback{Kind: api.FallbackKind(k.Fallback.Kind), Days: k.Fallback.Days},
			})
		}
		answer.Matters = append(answer.Matters, out)
	}
	for _, l := range c.config.Book.Trust {
		answer.Trust = append(answer.Trust, api.CatalogTrustLevel{Level: l.Level, Name: l.Name, NameEn: l.NameEN, Reusable: l.Reusable})
	}
	for _, v := range c.config.Book.Verifications {
		answer.Verifications = append(answer.Verifications, api.CatalogVerification{ID: v.ID, Name: v.Name, NameEn: v.NameEN, Level: v.Level})
	}
	for _, t := range c.config.Book.Filings {
		answer.Filings = append(answer.Filings, api.CatalogFilingType{
			ID: t.ID, Name: t.Name, NameEn: t.NameEN, ValidDays: t.ValidDays, KeepDays: t.KeepDays, Verifications: t.Verifications,
		})
	}
	return &result{answer: answer}, nil
}
