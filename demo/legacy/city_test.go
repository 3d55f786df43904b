package legacy

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/adapters/files"
	"oncegate/adapters/rest"
	"oncegate/adapters/sqldb"
	"oncegate/deploy"
	"oncegate/license"
)

// finder is what the gateway sees of a source.
type finder interface {
	Find(context.Context, license.Request) ([]license.Finding, error)
	Close() error
}

// sample is one source as it stands in deploy/city/sources.
type sample struct {
	ID         string        `yaml:"id"`
	Department string        `yaml:"department"`
	Deadline   string        `yaml:"deadline"`
	Failures   int           `yaml:"failures"`
	SQL        *sqldb.Config `yaml:"sqldb"`
	REST       *rest.Config  `yaml:"rest"`
	Files      *files.Config `yaml:"files"`
}

const token, appCode = "synthetic-token", "synthetic-appcode"

// start runs the city in a folder and opens the sources that the sample configuration describes.
func start(t *testing.T) (*City, map[string]finder) {
	t.Helper()
	dir := t.TempDir()
	city, err := Start(Config{Dir: dir, Police: "127.0.0.1:0", Civil: "127.0.0.1:0", PoliceToken: token, CivilCode: appCode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := city.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := city.Tax.Export(time.Now()); err != nil {
		t.Fatal(err)
	}
	sources := map[string]finder{}
	for name, secret := range map[string]string{"market": "", "land": "", "police": token, "civil": appCode, "tax": ""} {
		sources[name] = openSample(t, city, dir, name, secret)
	}
	return city, sources
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	data, err := fs.ReadFile(deploy.City(), name)
	if err == nil {
		err = yaml.UnmarshalWithOptions(data, into, yaml.Strict())
	}
	if err != nil {
		t.Fatal(name, err)
	}
}

func catalogue(t *testing.T) *license.Catalogue {
	c := &license.Catalogue{}
	read(t, "catalogue.yaml", c)
	return c
}

// openSample opens a source as configured, but for where the city runs and what secret it shows.
func openSample(t *testing.T, city *City, dir, name, secret string) finder {
	t.Helper()
	var file struct {
		Sources []sample `yaml:"sources"`
	}
	read(t, "sources/"+name+".yaml", &file)
	s := file.Sources[0]
	var f finder
	var err error
	switch {
	case s.SQL != nil:
		s.SQL.ID, s.SQL.DSN = s.ID, strings.Replace(s.SQL.DSN, "../../city", dir, 1)
		f, err = sqldb.Open(*s.SQL, catalogue(t), sqldb.Deps{})
	case s.REST != nil:
		addr := map[string]string{"police": city.Police.Addr(), "civil": city.Civil.Addr()}[name]
		_, path, _ := strings.Cut(strings.TrimPrefix(s.REST.BaseURL, "http://"), "/")
		s.REST.ID, s.REST.BaseURL, s.REST.Auth.Secret.File = s.ID, "http://"+addr+"/"+path, filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(s.REST.Auth.Secret.File, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err = rest.Open(*s.REST, catalogue(t), rest.Deps{})
	case s.Files != nil:
		s.Files.ID, s.Files.Dir = s.ID, filepath.Join(dir, "tax-drops")
		f, err = files.Open(*s.Files, catalogue(t), files.Deps{})
	}
	if err != nil {
		t.Fatal(name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// one asks one question.
func one(t *testing.T, f finder, q license.Question) license.Finding {
	t.Helper()
	findings, err := f.Find(t.Context(), license.Request{Questions: []license.Question{q}})
	if err != nil || len(findings) != 1 {
		t.Fatalf("%d findings, %v", len(findings), err)
	}
	return findings[0]
}

// Whatever the departments hold comes out of their systems as sound licenses: none is refused or flagged.
func TestEveryRecordIsALicense(t *testing.T) {
	city, sources := start(t)
	p, cat := city.Population, catalogue(t)
	type asked struct {
		source, licenseType string
		holder              license.HolderID
		want                int // licenses
	}
	var all []asked
	for _, c := range p.Companies {
		all = append(all, asked{"market", "business-license", c.Holder(), 1})
	}
	for _, one := range p.People {
		all = append(all, asked{"police", "resident-id", one.Holder(), 1})
	}
	for _, m := range p.Marriages {
		all = append(all, asked{"civil", "marriage-certificate", m.Partners[0].Holder(), 1}, asked{"civil", "marriage-certificate", m.Partners[1].Holder(), 1})
	}
	for _, e := range p.Estates {
		for _, o := range e.Owners {
			n := 0
			for _, other := range p.Estates {
				if slices.Contains(other.Owners, o) {
					n++
				}
			}
			all = append(all, asked{"land", "real-estate-certificate", o.Holder(), n})
		}
	}
	for _, paid := range p.Payments {
		n := 0
		for _, other := range p.Payments {
			if other.Payer == paid.Payer {
				n++
			}
		}
		all = append(all, asked{"tax", "tax-clearance", paid.Payer.HolderID, n})
	}
	for _, a := range all {
		f := one(t, sources[a.source], license.Question{Type: a.licenseType, Holder: a.holder})
		if f.State != license.IsFound || len(f.Records) != a.want {
			t.Fatalf("%s: %s, %d licenses, want %d: %v", a.source, f.State, len(f.Records), a.want, f.Err)
		}
		for _, l := range f.Records {
			if _, err := license.Validate(cat, l, license.Strict); err != nil || len(l.Flags) > 0 {
				t.Fatalf("%s: %v, flags %v", a.source, err, l.Flags)
			}
		}
	}
	if n := len(p.People) + len(p.Companies); n < 200 {
		t.Errorf("the city is empty: %d", n)
	}
}

// Nobody who is not there is found, and no system confuses that with a failure.
func TestStrangersAreNotFound(t *testing.T) {
	_, sources := start(t)
	nobody := person(479).Holder()
	for name, licenseType := range map[string]string{
		"land": "real-estate-certificate", "police": "resident-id", "civil": "marriage-certificate", "tax": "tax-clearance",
	} {
		if f := one(t, sources[name], license.Question{Type: licenseType, Holder: nobody}); f.State != license.IsNotFound {
			t.Errorf("%s: %s %v", name, f.State, f.Err)
		}
	}
}

// The story depends on what these hold.
func TestCast(t *testing.T) {
	city, sources := start(t)
	cast := city.Population.Cast
	shop := one(t, sources["market"], license.Question{Type: "business-license", Holder: cast.FoodShop.Holder()}).Records[0]
	if shop.Fields["legal_representative_code"] != cast.FoodShop.Legal.Code || shop.Status != license.Valid {
		t.Errorf("food shop: %v %s", shop.Fields, shop.Status)
	}
	flat := one(t, sources["land"], license.Question{Type: "real-estate-certificate", Holder: cast.Couple[0].Holder(), Number: cast.Flat.Number}).Records[0]
	if len(flat.Holders) != 2 || flat.Holders[1].Code != cast.Couple[1].Code || flat.Fields["ownership"] != "共同共有" {
		t.Errorf("flat: %+v", flat)
	}
	if married := one(t, sources["civil"], license.Question{Type: "marriage-certificate", Holder: cast.Couple[0].Holder()}).Records[0]; len(married.Holders) != 2 || married.Status != license.Valid {
		t.Errorf("marriage: %+v", married)
	}
	strangers := []license.HolderID{cast.Couple[0].Holder(), cast.Couple[1].Holder(), cast.FoodShop.Legal.Holder(), cast.LateShop.Legal.Holder(), cast.Investor.Legal.Holder()}
	if slices.Contains(strangers, cast.Stranger.Holder()) {
		t.Error("the stranger is a party")
	}
	if slices.Contains(strangers[:2], cast.FoodShop.Legal.Holder()) {
		t.Error("the couple has a food shop too")
	}
}

// What is revoked at the source is revoked in the very next answer.
func TestRevoke(t *testing.T) {
	city, sources := start(t)
	shop := city.Population.Cast.LateShop.Holder()
	if err := city.Market.Revoke(t.Context(), shop, time.Now()); err != nil {
		t.Fatal(err)
	}
	if l := one(t, sources["market"], license.Question{Type: "business-license", Holder: shop}).Records[0]; l.Status != license.Revoked {
		t.Errorf("status %s", l.Status)
	}
	if err := city.Market.Revoke(t.Context(), license.HolderID{Type: "001", Code: companyCode(999)}, time.Now()); err == nil {
		t.Error("a company that does not exist was revoked")
	}
}

// A gateway that the services do not know learns nothing, and that is no answer.
func TestWrongSecretsAreNoAnswer(t *testing.T) {
	city, _ := start(t)
	people := city.Population.People
	for name, licenseType := range map[string]string{"police": "resident-id", "civil": "marriage-certificate"} {
		f := openSample(t, city, "", name, "wrong")
		if got := one(t, f, license.Question{Type: licenseType, Holder: people[0].Holder()}); got.State != license.IsUnavailable {
			t.Errorf("%s: %s", name, got.State)
		}
	}
}
