package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/console/session"
	"oncegate/fault"
	"oncegate/gateway"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/sheet"
	"oncegate/strictyaml"
	"oncegate/verdict"
	"oncegate/witness"
)

// A Setup is a configuration that was read and checked as a whole: everything that differs between cities. It never changes.
type Setup struct {
	Config
	File  string   // the main file
	Files []string // every file it was read from: a change of any is a change of the configuration
	// Inputs are the files, folders and patterns of names that were looked for, there or not, secrets and drop folders of sources too:
	// what appears or changes there may change what the configuration says, or whether it can be used.
	Inputs []string
	// Digest names the configuration: that of its files by their paths relative to the main file, as a policy set's.
	Digest string

	Catalogue       *license.Catalogue
	Book            *cases.Book
	Calendar        *cases.Calendar
	Holders         *cases.HolderRules    // nil where no file says more than the defaults
	Maintenance     []gateway.Maintenance // planned, of sources
	Policy          *policy.Set
	Tables          []policy.File                    // of expected decisions
	Callers         map[string]gateway.System        // by id
	Asserters       map[string]gateway.Asserter      // by issuer
	Vouchers        map[string]token.IdentityService // by iss of their actor tokens
	Serves          map[string]string                // license type → id of the source that has it
	Anchors         []*pki.Certificate
	Known           map[string]pki.Known     // by fingerprint
	Usages          map[string]pki.UsageRule // by fingerprint of the anchor
	WitnessKeys     []string                 // vkey lines of the log's witnesses
	AskWitnesses    witness.Policy           // whom the log is co-signed by; nobody where the policy has no members
	Layouts         *sheet.Layouts           // nil where there are none
	layoutsOf       [sm.DigestSize]byte      // what Layouts were made of
	Seals           map[string]*seal.Seal    // by USCC; those that may be used
	ProviderSecrets map[string]string        // of the console's identity providers, by their ids
	Accounts        *session.Accounts        // local accounts of the console; nil where there are none

	// What documents of others are verified by.
	SealAnchors, TimeStampAnchors, Authorities []*pki.Certificate
	Evidence                                   []verdict.Artefact

	// Keys is the keystore; nil where it is not there yet, or could not be opened (KeysErr).
	Keys    *keystore.Store
	KeysErr error
	// Unmade says that init was never run: there is no keystore, and certificates may be missing.
	Unmade bool

	places map[string]fault.Place // of what CheckStart reports, by YAML path; the parsed files themselves are not kept
}

// Load reads a configuration and everything it names, and reports every fault at once, warnings among them. The Setup is
// complete only where no fault is fatal (fault.List.Fatal). Load changes nothing and opens no source.
func Load(path string, now time.Time) (*Setup, fault.List) { return load(path, now, nil) }

// LoadWithKeys is Load for a command that needs the configuration whole, with its keys. The error is a fault.List where the configuration
// is unusable.
func LoadWithKeys(path string, now time.Time) (*Setup, error) {
	setup, faults := Load(path, now)
	if err := cmp.Or(faults.Err(), setup.KeysErr); err != nil {
		return nil, err
	}
	return setup, nil
}

// Reload reads the configuration again. Parsed layouts are reused where their files did not change.
func (s *Setup) Reload(now time.Time) (*Setup, fault.List) { return load(s.File, now, s) }

func load(path string, now time.Time, was *Setup) (*Setup, fault.List) {
	l := &loader{setup: &Setup{File: path, Known: map[string]pki.Known{}, Usages: map[string]pki.UsageRule{}, Seals: map[string]*seal.Seal{}}, was: was, dir: filepath.Dir(path), now: now}
	defer l.inputs()
	l.main()
	if l.doc == nil {
		return l.setup, l.faults.Sorted()
	}
	l.keystore()
	l.checkMain()
	l.readData()
	l.layouts()
	l.checkSources()
	l.maintenance()
	l.checkConsole()
	l.anchors()
	l.checkCertificates()
	l.witnesses()
	l.checkTrust()
	l.policy()
	l.holders()
	l.checkUsed()
	l.checkModes()
	l.setup.Digest = l.digest()
	l.setup.places = map[string]fault.Place{"$.store.path": l.doc.At("$.store.path"), "$.trust": l.doc.At("$.trust")}
	for i := range l.setup.Sources {
		l.setup.places[sourcePath(i)] = l.doc.At(sourcePath(i))
	}
	return l.setup, l.faults.Sorted()
}

// A loader is the state of one Load.
type loader struct {
	setup  *Setup
	was    *Setup // before; may be nil
	dir    string // of the main file
	now    time.Time
	doc    *strictyaml.Document // the main file with its includes
	faults fault.List
	read   []canonical.File
	looked []string      // files and patterns, there or not
	chains *pki.Verifier // nil where no anchor could be read
}

// bytes reads a file that belongs to the configuration. The fault stands where it is named.
func (l *loader) bytes(path, name string) ([]byte, bool) {
	l.looked = append(l.looked, name)
	data, err := ReadFile(name)
	if err != nil {
		l.doc.Add(path, "%s", PathReason(err))
		return nil, false
	}
	l.note(name, data)
	return data, true
}

// inputs adds to what was looked for what is read elsewhere: keys, secrets, the connection string, the server's certificate.
func (l *loader) inputs() {
	c := l.setup.Config
	list := append(l.looked, l.setup.File, c.Gateway.TLS.Certificate, c.Gateway.TLS.Key, c.Store.DSNFile, c.Keys.PassphraseFile)
	list = append(list, c.Include...)
	if c.Keys.Dir != "" {
		list = append(list, filepath.Join(c.Keys.Dir, "*.key"))
	}
	for _, s := range c.Sources {
		for _, a := range s.Adapter.byKey {
			list = append(list, a.Files()...)
		}
	}
	for i := range list {
		list[i] = filepath.Clean(list[i])
	}
	slices.Sort(list)
	l.setup.Inputs = slices.DeleteFunc(slices.Compact(list), func(name string) bool { return name == "." }) // Clean's name for none
}

// note remembers a file that the configuration was read from.
func (l *loader) note(name string, data []byte) {
	if slices.Contains(l.setup.Files, name) {
		return
	}
	l.setup.Files = append(l.setup.Files, name)
	l.read = append(l.read, canonical.File{Path: l.relative(name), Data: data})
}

// relative is a file's path as it stands in digests: below the main file's folder, with slashes.
func (l *loader) relative(name string) string {
	if rel, err := filepath.Rel(l.dir, name); err == nil {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(name)
}

func (l *loader) digest() string {
	digest, err := canonical.FilesDigest(sm.New, l.read)
	if err != nil { // a path that is not UTF-8
		l.doc.Add("$", "the configuration cannot be named by a digest: a file name is not UTF-8")
	}
	return digest
}

// main reads the main file and what it includes.
func (l *loader) main() {
	data, err := ReadFile(l.setup.File)
	if err != nil {
		l.faults.AddAt(fault.Place{File: l.setup.File}, "%s", PathReason(err))
		return
	}
	l.note(l.setup.File, data)
	c := &l.setup.Config
	l.doc = strictyaml.Decode(l.setup.File, data, limits, c, &l.faults)
	c.resolvePaths(l.dir)
	for i, pattern := range c.Include {
		at := fmt.Sprintf("$.include[%d]", i)
		for _, name := range l.expand(at, pattern) {
			l.include(at, name)
		}
	}
}

// An included file holds lists that add up with those of the main file.
type included struct {
	Departments []Department `yaml:"departments"`
	Systems     []System     `yaml:"systems"`
	Sources     []Source     `yaml:"sources"`
	Assertions  []Asserter   `yaml:"assertions"`

	IdentityServices []IdentityService `yaml:"identity_services"`
}

func (l *loader) include(at, name string) {
	data, ok := l.bytes(at, name)
	if !ok {
		return
	}
	var more included
	doc := strictyaml.Decode(name, data, limits, &more, &l.faults)
	part := Config{Departments: more.Departments, Systems: more.Systems, Sources: more.Sources, Assertions: more.Assertions, IdentityServices: more.IdentityServices}
	part.resolvePaths(filepath.Dir(name))
	c := &l.setup.Config
	l.doc.Continue("departments", len(c.Departments), doc)
	l.doc.Continue("systems", len(c.Systems), doc)
	l.doc.Continue("sources", len(c.Sources), doc)
	l.doc.Continue("assertions", len(c.Assertions), doc)
	l.doc.Continue("identity_services", len(c.IdentityServices), doc)
	c.Departments = append(c.Departments, part.Departments...)
	c.Systems = append(c.Systems, part.Systems...)
	c.Sources = append(c.Sources, part.Sources...)
	c.Assertions = append(c.Assertions, part.Assertions...)
	c.IdentityServices = append(c.IdentityServices, part.IdentityServices...)
}

// expand finds the files that a pattern names; a name without wildcards is itself. Names are sorted.
func (l *loader) expand(at, pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	l.looked = append(l.looked, pattern)
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		l.doc.Add(at, "no file matches %q", fault.Clip(l.relative(pattern)))
		l.faults[len(l.faults)-1].Warning = err == nil && strings.HasPrefix(at, "$.include") // a new city has none yet
	}
	return names
}

// limits bound what is read, so that no file can exhaust memory or stack.
var limits = strictyaml.Limits{Bytes: maxDocument, Depth: 64, Values: 1 << 19}

const maxDocument = 32 << 20 // bytes

// ReadFile reads a file of at most maxDocument bytes.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, not a file", name)
	case info.Size() > maxDocument:
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxDocument)
	}
	return os.ReadFile(name)
}

// resolvePaths makes every path of a configuration relative to the folder of the file it stands in.
func (c *Config) resolvePaths(dir string) {
	from := func(paths ...*string) {
		for _, p := range paths {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(dir, filepath.FromSlash(*p))
			}
		}
	}
	all := func(lists ...[]string) {
		for _, list := range lists {
			for i := range list {
				from(&list[i])
			}
		}
	}
	from(&c.Gateway.TLS.Certificate, &c.Gateway.TLS.Key, &c.Store.Path, &c.Store.DSNFile, &c.Log.Mark, &c.Keys.Dir, &c.Keys.PassphraseFile)
	from(&c.Data.Catalogue, &c.Data.Calendar, &c.Data.Holders, &c.Data.Maintenance)
	all(c.Include, c.Trust.Anchors, c.Trust.Seals, c.Trust.TimeStamps, c.Trust.Authorities, c.Trust.Evidence, c.Data.Matters, c.Data.Layouts, c.Data.Grants, c.Data.Guards, c.Data.Decisions)
	for i := range c.Trust.Witnesses {
		if w := &c.Trust.Witnesses[i]; !lognote.IsVKey(*w) {
			from(w)
		}
	}
	for i := range c.Witnesses.Members {
		if w := &c.Witnesses.Members[i].Key; !lognote.IsVKey(*w) {
			from(w)
		}
	}
	for i := range c.Data.Fonts {
		from(&c.Data.Fonts[i].File)
	}
	for i := range c.Departments {
		from(&c.Departments[i].Seal.ESL)
	}
	for i := range c.Systems {
		all(c.Systems[i].Certificates)
	}
	for i := range c.Assertions {
		from(&c.Assertions[i].Certificate)
	}
	for i := range c.IdentityServices {
		all(c.IdentityServices[i].Certificates)
	}
	if c.Console != nil {
		from(&c.Console.Accounts)
		for i := range c.Console.Codes {
			from(&c.Console.Codes[i].TokenFile)
		}
		for i := range c.Console.Providers {
			from(&c.Console.Providers[i].SecretFile)
		}
	}
	for i := range c.Sources {
		c.Sources[i].resolvePaths(dir)
	}
}

// PathReason says in one phrase why a file cannot be read.
func PathReason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s is not there", p.Path)
		}
		return fmt.Sprintf("%s cannot be read: %v", p.Path, p.Err)
	}
	return err.Error()
}
