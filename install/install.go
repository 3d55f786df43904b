// Package install makes and keeps an installation while no node runs on it: it initializes keys, certificates and the first log, imports
// keys, recovers after a restored backup, adopts tables, verifies the state of the database, and writes the trust folder for verifiers.
package install

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/tlog"
	"oncegate/verdict"
)

// PrepareOptions say how an installation is made. The zero value is usable.
type PrepareOptions struct {
	// CA is the folder of the certificate authority's keystore. Default: "ca" beside the main file. Take it off the machine
	// when all certificates are issued.
	CA string
	// Callers is the folder of a keystore for the keys of systems and identity services whose certificate is missing.
	// Default: "callers" beside the main file. Hand each key to its system; better, let it make its own and send a request.
	Callers string

	Now  func() time.Time
	Rand io.Reader
	Cost int // of new keystores (keystore.Config.Cost)
}

// Folders beside the main file that Prepare makes.
const (
	CAFolder      = "ca"
	CallersFolder = "callers"
)

// RevocationFile is where Prepare keeps the revocation lists of the installation's own authority, beside the main file, where
// trust.evidence names it. Without them the revocation state of our certificates is unknown, and nothing that our keys sign is proven.
const RevocationFile = "evidence/authority.crl"

// A Prepared is the result of Prepare.
type Prepared struct {
	Setup *config.Setup
	Made  []string // sentences, in the order of making; none if everything was there
}

// Prepare initializes an installation: it makes the passphrase, keystore, certificate authority, certificates, folders and the log that the
// configuration names and that do not exist. It is idempotent: what exists stays as it is. The creation of the log is its first record. The
// error is a fault.List where the configuration is unusable.
func Prepare(ctx context.Context, path string, o PrepareOptions) (*Prepared, error) {
	setup, faults := config.Load(path, o.now())
	if setup.Keys == nil && !setup.Unmade || setup.Config.Gateway.ID == "" {
		return nil, faults.Err()
	}
	dir := filepath.Dir(path)
	m := &preparation{setup: setup, lists: filepath.Join(dir, filepath.FromSlash(RevocationFile)), options: o.withDefaults(dir), prepared: &Prepared{}}
	for _, step := range []func(context.Context) error{m.passphrase, m.folders, m.keys, m.certificates, m.revocations, m.log} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, faults.Err())
		}
	}
	m.prepared.Setup = m.setup
	return m.prepared, nil
}

func (o PrepareOptions) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o PrepareOptions) withDefaults(dir string) PrepareOptions {
	if o.CA == "" {
		o.CA = filepath.Join(dir, CAFolder)
	}
	if o.Callers == "" {
		o.Callers = filepath.Join(dir, CallersFolder)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

// A preparation is the state of one Prepare.
type preparation struct {
	setup     *config.Setup
	options   PrepareOptions
	prepared  *Prepared
	phrase    []byte
	store     *keystore.Store
	authority *Authority
	lists     string // file of the authority's revocation lists
}

func (m *preparation) report(format string, args ...any) {
	m.prepared.Made = append(m.prepared.Made, fmt.Sprintf(format, args...))
}

// passphrase reads the passphrase, or makes one where its file is missing.
func (m *preparation) passphrase(context.Context) (err error) {
	k := m.setup.Config.Keys
	if _, err := os.Stat(k.PassphraseFile); k.PassphraseFile != "" && errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, 32)
		if _, err := io.ReadFull(m.options.Rand, secret); err != nil {
			return fmt.Errorf("make passphrase: %w", err)
		}
		if err := os.MkdirAll(filepath.Dir(k.PassphraseFile), 0o700); err != nil {
			return fmt.Errorf("make passphrase: %w", err)
		}
		if err := replaceFile(k.PassphraseFile, []byte(sm.B64(secret)+"\n"), 0o600); err != nil {
			return fmt.Errorf("make passphrase: %w", err)
		}
		m.report("the passphrase of the keystores, %s: keep a copy in a safe", k.PassphraseFile)
	}
	m.phrase, err = k.ReadPassphrase()
	if err != nil {
		return fmt.Errorf("read passphrase: %w", err)
	}
	return nil
}

// folders makes the folders of database and high-water mark.
func (m *preparation) folders(context.Context) error {
	c := m.setup.Config
	for _, name := range []string{c.Store.Path, c.Log.Mark} {
		if name == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}

// keys makes the gateway's own keys.
func (m *preparation) keys(context.Context) (err error) {
	config := keystore.Config{Dir: m.setup.Config.Keys.Dir, Passphrase: m.phrase, Now: m.options.Now, Rand: m.options.Rand, Cost: m.options.Cost}
	if m.store, err = config.Open(); err != nil {
		return err
	}
	before := len(m.store.List())
	for _, p := range []keystore.Purpose{
		{Usage: keystore.Log, Algorithm: keystore.SM2},
		{Usage: keystore.Log, Algorithm: keystore.Ed25519},
		{Usage: keystore.Envelope, Algorithm: keystore.Symmetric},
		{Usage: keystore.Index, Algorithm: keystore.Symmetric},
		{Usage: keystore.Salt, Algorithm: keystore.Symmetric},
		{Usage: keystore.Status, Algorithm: keystore.SM2},
		{Usage: keystore.Call, Owner: m.setup.Gateway.ID, Algorithm: keystore.SM2},
	} {
		if _, err := m.store.Ensure(p); err != nil {
			return err
		}
	}
	if n := len(m.store.List()) - before; n > 0 {
		m.report("%d keys of the gateway, in %s", n, m.setup.Config.Keys.Dir)
	}
	return nil
}

// certificates makes the authority and the certificates that are missing.
func (m *preparation) certificates(ctx context.Context) error {
	operator, ok := m.department(m.setup.Gateway.Department)
	if !ok {
		return errNoOperator
	}
	if m.allCertified() {
		return nil
	}
	config := AuthorityConfig{Dir: m.options.CA, Passphrase: m.phrase, Organization: operator.Name, Now: m.options.Now, Rand: m.options.Rand, Cost: m.options.Cost}
	var err error
	if m.authority, err = NewAuthority(ctx, config); err != nil {
		return err
	}
	if err := m.anchor(); err != nil {
		return err
	}
	if err := m.gatewayCertificates(ctx, operator); err != nil {
		return err
	}
	return m.callerCertificates(ctx, operator)
}

// revocations signs the authority's revocation lists where there are none, or where more than half of their validity is over.
func (m *preparation) revocations(ctx context.Context) error {
	wanted := slices.ContainsFunc(m.setup.Trust.Evidence, func(pattern string) bool {
		match, err := filepath.Match(pattern, m.lists)
		return err == nil && match
	})
	if old, err := os.ReadFile(m.lists); err == nil {
		parts := verdict.Artefact{Data: old}.Parts()
		list, err := revocation.ParseList(parts[0].Data)
		wanted = wanted && err == nil && m.options.Now().After(list.This.Add(ListValid/2))
	}
	if _, err := os.Stat(m.options.CA); !wanted || m.authority == nil && err != nil {
		return nil // not asked for, fresh, somebody else's, or its keys were taken off this machine
	}
	if m.authority == nil {
		var err error
		config := AuthorityConfig{Dir: m.options.CA, Passphrase: m.phrase, Now: m.options.Now, Rand: m.options.Rand, Cost: m.options.Cost}
		if m.authority, err = NewAuthority(ctx, config); err != nil {
			return err
		}
	}
	text, err := m.authority.pemLists(ctx)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(m.lists), 0o755)
	}
	if err == nil {
		err = replaceFile(m.lists, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write revocation lists: %w", err)
	}
	m.report("the authority's revocation lists, %s: sign new ones within %d days (oncegate keys crl)", m.lists, int(ListValid/(24*time.Hour)))
	return nil
}

// allCertified reports whether every certificate is there, so that no authority is needed.
func (m *preparation) allCertified() bool {
	for _, k := range m.store.List() {
		if (k.Usage == keystore.Status || k.Usage == keystore.License || k.Usage == keystore.Seal || k.Usage == keystore.Call) && k.State == keystore.Current && len(k.Chain) == 0 {
			return false
		}
	}
	for _, d := range m.setup.Departments {
		if _, err := d.FindLicenseKey(m.store); d.LicenseKey == config.CurrentKey && err != nil {
			return false
		}
		if m.needsSeal(d) {
			return false
		}
	}
	all := slices.Clone(m.setup.Trust.Anchors)
	for _, s := range m.setup.Systems {
		all = append(all, s.Certificates...)
	}
	for _, a := range m.setup.Assertions {
		all = append(all, a.Certificate)
	}
	for _, s := range m.setup.IdentityServices {
		all = append(all, s.Certificates...)
	}
	for _, name := range all {
		if _, err := os.Stat(name); err != nil {
			return false
		}
	}
	return true
}

// anchor writes the root certificate to the file of the first trust anchor.
func (m *preparation) anchor() error {
	if len(m.setup.Trust.Anchors) == 0 {
		return errors.New("say under trust.anchors in which file the authority's certificate is to stand")
	}
	name := m.setup.Trust.Anchors[0]
	done, err := writeMissing(name, pki.MarshalPEM(m.authority.Root()))
	if done {
		m.report("an SM2 certificate authority: its keys in %s (take them off this machine), its certificate in %s", m.options.CA, name)
	}
	return err
}

// writeMissing writes a public file unless it exists.
func writeMissing(name string, data []byte) (bool, error) {
	if _, err := os.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return false, err
	}
	return true, replaceFile(name, data, 0o644)
}

func (m *preparation) department(id string) (config.Department, bool) {
	for _, d := range m.setup.Departments {
		if d.ID == id {
			return d, true
		}
	}
	return config.Department{}, false
}

// gatewayCertificates certifies the keys in the gateway's own keystore.
func (m *preparation) gatewayCertificates(ctx context.Context, operator config.Department) error {
	for _, p := range []keystore.Purpose{
		{Usage: keystore.Status, Algorithm: keystore.SM2},
		{Usage: keystore.Call, Owner: m.setup.Gateway.ID, Algorithm: keystore.SM2},
	} {
		if _, err := m.authority.certify(ctx, m.store, p, operator, m.setup.Gateway.ID); err != nil {
			return err
		}
	}
	for _, d := range m.setup.Departments {
		if d.LicenseKey != config.CurrentKey {
			continue
		}
		if _, err := d.FindLicenseKey(m.store); err != nil {
			m.report("a license key of %s (%s) with its certificate", d.ID, d.Name)
		}
		if _, err := m.authority.IssueDepartment(ctx, m.store, d); err != nil {
			return err
		}
	}
	for _, d := range m.setup.Departments {
		if err := m.seal(ctx, operator, d); err != nil {
			return err
		}
	}
	return nil
}

// needsSeal reports whether a department's seal, or its current key, is to be made.
func (m *preparation) needsSeal(d config.Department) bool {
	if d.Seal.ESL == "" {
		return false
	}
	_, missing := os.Stat(d.Seal.ESL)
	_, keyless := d.FindSealKey(m.store, nil)
	return missing != nil || d.Seal.Key == config.CurrentKey && keyless != nil
}

// seal makes a department's seal and the key that uses it, where they are missing.
func (m *preparation) seal(ctx context.Context, operator, d config.Department) error {
	if !m.needsSeal(d) {
		return nil
	}
	if d.Seal.Key == config.CurrentKey {
		if _, err := m.authority.IssueSeal(ctx, m.store, d); err != nil {
			return err
		}
	}
	k, err := d.FindSealKey(m.store, nil)
	if err != nil {
		return fmt.Errorf("make seal of %s: the keystore has no key %s", d.ID, d.Seal.Key)
	}
	made, err := m.authority.MakeSeal(ctx, operator, d, k.Chain)
	if err != nil {
		return err
	}
	done, err := writeMissing(d.Seal.ESL, made.Raw)
	if done {
		m.report("a throw-away seal of %s (%s), in %s: put the one of the licensed seal maker there", d.ID, d.Name, d.Seal.ESL)
	}
	return err
}

// callerCertificates makes keys and certificates for systems and identity services that have none. Only the first of a
// system's certificates is made: others stand there for rotations.
func (m *preparation) callerCertificates(ctx context.Context, operator config.Department) error {
	keys, err := keystore.Config{Dir: m.options.Callers, Passphrase: m.phrase, Now: m.options.Now, Rand: m.options.Rand, Cost: m.options.Cost}.Open()
	if err != nil {
		return err
	}
	certify := func(name, who string, issue func() (keystore.Info, error)) error {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		k, err := issue()
		if err != nil {
			return err
		}
		chain, err := pki.ParseChain(k.Chain)
		if err != nil {
			return err
		}
		m.report("a key of %s, in %s, with its certificate %s", who, m.options.Callers, name)
		_, err = writeMissing(name, pki.MarshalPEM(chain...))
		return err
	}
	for _, s := range m.setup.Systems {
		d, ok := m.department(s.Department)
		if !ok || len(s.Certificates) == 0 {
			continue // Load says so
		}
		if err := certify(s.Certificates[0], "system "+s.ID, func() (keystore.Info, error) { return m.authority.IssueSystem(ctx, keys, s, d) }); err != nil {
			return err
		}
	}
	for _, a := range m.setup.Assertions {
		if a.Certificate == "" {
			continue
		}
		if err := certify(a.Certificate, "identity service "+a.Issuer, func() (keystore.Info, error) { return m.authority.IssueAsserter(ctx, keys, a, operator) }); err != nil {
			return err
		}
	}
	for _, s := range m.setup.IdentityServices {
		if len(s.Certificates) == 0 {
			continue
		}
		issue := func() (keystore.Info, error) {
			return m.authority.IssueAsserter(ctx, keys, config.Asserter{Issuer: s.ID}, operator)
		}
		if err := certify(s.Certificates[0], "identity service "+s.ID, issue); err != nil {
			return err
		}
	}
	return nil
}

// log checks the configuration as it is now, and creates the log unless it is there.
func (m *preparation) log(ctx context.Context) (err error) {
	setup, faults := config.Load(m.setup.File, m.options.Now())
	m.setup = setup
	if err := faults.Err(); err != nil {
		return err
	}
	db, keyring, err := setup.OpenStore(ctx, config.OpenOptions{Now: m.options.Now})
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := setup.LogConfig(db.Log(), nil)
	if err != nil {
		return err
	}
	if err := tlog.Create(ctx, c); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if _, err := db.Log().Head(ctx); errors.Is(err, fs.ErrNotExist) { // the mark alone is there
			return LogMissing(setup)
		}
		return nil
	}
	where := cmp.Or(setup.Store.Path, "the database")
	m.report("the log %s, in %s", setup.Log.Origin, where)
	return leaveRecord(ctx, setup, db, keyring, m.options.Now, audit.Own{Operation: OperationCreate, RequestID: setup.Log.Origin, Inputs: map[string]any{"origin": setup.Log.Origin, "keys": DescribeKeys(setup)}})
}

//go:embed template
var template embed.FS

// WriteTemplate writes a small configuration that is complete but for its legacy systems into a folder, which it makes if
// need be. It overwrites nothing: the error is fs.ErrExist if a file is there.
func WriteTemplate(dir string) error {
	return fs.WalkDir(template, "template", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("template", filepath.FromSlash(name))
		if err != nil {
			return err
		}
		target := filepath.Join(dir, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := template.ReadFile(name)
		if err != nil {
			return err
		}
		return createFile(target, data)
	})
}

// createFile writes a file that must not exist.
func createFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Init makes a new installation: write puts a configuration into the folder (WriteTemplate, or a sample's), and Prepare makes
// everything else. It overwrites nothing.
func Init(ctx context.Context, dir string, write func(dir string) error, o PrepareOptions) (*Prepared, error) {
	if _, err := os.Stat(filepath.Join(dir, config.MainFile)); err == nil {
		return nil, fmt.Errorf("write configuration: %s: %w", filepath.Join(dir, config.MainFile), fs.ErrExist)
	}
	if err := write(dir); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return Prepare(ctx, filepath.Join(dir, config.MainFile), o)
}
