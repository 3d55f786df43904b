package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/second"
	"oncegate/check"
	"oncegate/fault"
)

// CurrentKey, as a department's license_key, means the newest license key that the keystore has under its USCC.
const CurrentKey = "current"

// ReadPassphrase reads the passphrase of the keystore from its file or environment variable.
func (k Keys) ReadPassphrase() ([]byte, error) {
	switch {
	case (k.PassphraseFile == "") == (k.PassphraseEnv == ""):
		return nil, errors.New("say either passphrase_file or passphrase_env")
	case k.PassphraseEnv != "":
		if v := os.Getenv(k.PassphraseEnv); v != "" {
			return []byte(v), nil
		}
		return nil, fmt.Errorf("the environment variable %s is not set", k.PassphraseEnv)
	}
	data, err := ReadFile(k.PassphraseFile)
	if err != nil {
		return nil, errors.New(PathReason(err))
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return nil, errors.New("the passphrase file is empty")
	}
	return []byte(text), nil
}

// keystore opens the keys. A configuration whose keystore was never made is not at fault: it is a sample, or new.
func (l *loader) keystore() {
	k := l.setup.Config.Keys
	if k.Dir == "" {
		l.doc.Add("$.keys.dir", "the folder of the keystore is required")
		return
	}
	if (k.PassphraseFile == "") == (k.PassphraseEnv == "") {
		l.doc.Add("$.keys", "say either passphrase_file or passphrase_env")
		return
	}
	if !hasKeys(k.Dir) {
		l.setup.Unmade = true
		l.setup.KeysErr = fmt.Errorf("open keystore %s: %w", k.Dir, fs.ErrNotExist)
		l.doc.Warn("$.keys.dir", "there is no keystore yet; oncegate init makes it")
		return
	}
	l.setup.Keys, l.setup.KeysErr = k.Open()
	if l.setup.KeysErr != nil {
		l.doc.Add("$.keys", "%v", l.setup.KeysErr)
	}
}

// hasKeys reports whether a folder is a keystore with a key in it.
func hasKeys(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // let opening it say why
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".key") {
			return true
		}
	}
	return false
}

// Open opens the keystore; fs.ErrNotExist if there is none.
func (k Keys) Open() (*keystore.Store, error) {
	if !hasKeys(k.Dir) {
		return nil, fmt.Errorf("open keystore %s: %w", k.Dir, fs.ErrNotExist)
	}
	phrase, err := k.ReadPassphrase()
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	// Unsealing takes 64 MiB that nobody needs again; given back at once, they do not add up with what is read next.
	defer debug.FreeOSMemory()
	return keystore.Config{Dir: k.Dir, Passphrase: phrase}.Open()
}

// FindLicenseKey finds the key that signs a department's licenses.
func (d Department) FindLicenseKey(keys *keystore.Store) (keystore.Info, error) {
	for _, k := range keys.List() {
		if k.Usage != keystore.License || k.Algorithm != keystore.SM2 {
			continue
		}
		if d.LicenseKey == CurrentKey && k.Owner == d.USCC && k.State == keystore.Current || d.LicenseKey == k.ID {
			return k, nil
		}
	}
	return keystore.Info{}, fs.ErrNotExist
}

// FindCurrent finds the current SM2 key of a usage and owner.
func FindCurrent(keys *keystore.Store, usage, owner string) (keystore.Info, error) {
	for _, k := range keys.List() {
		if k.Purpose == (keystore.Purpose{Usage: usage, Owner: owner, Algorithm: keystore.SM2}) && k.State == keystore.Current {
			return k, nil
		}
	}
	return keystore.Info{}, fs.ErrNotExist
}

// checkOwnKeys checks that the keystore has the keys that the configuration names, with valid certificates.
func (l *loader) checkOwnKeys() {
	keys := l.setup.Keys
	if keys == nil {
		return
	}
	for i, d := range l.setup.Departments {
		l.checkSeal(fmt.Sprintf("$.departments[%d].seal", i), d)
		at := fmt.Sprintf("$.departments[%d].license_key", i)
		if d.LicenseKey == "" {
			continue
		}
		k, err := d.FindLicenseKey(keys)
		if err != nil {
			l.doc.Add(at, "the keystore has no license key %q for department %s", fault.Clip(d.LicenseKey), d.ID)
			continue
		}
		if k.State == keystore.Retired {
			l.doc.Warn(at, "license key %s is retired: name the key that followed it, or current", k.ID)
		}
		l.checkOwnChain(at, k, pki.License, d.USCC)
	}
	l.checkGatewayKeys()
}

// checkGatewayKeys checks that the keystore has the keys that the gateway itself needs.
func (l *loader) checkGatewayKeys() {
	keys := l.setup.Keys
	for _, usage := range []string{keystore.Envelope, keystore.Index, keystore.Salt} {
		if _, err := keys.Secret(usage, ""); err != nil {
			l.doc.Add("$.keys.dir", "the keystore has no %s key; oncegate init makes what is missing", usage)
		}
	}
	if _, err := keys.Signer(keystore.Log, ""); err != nil {
		l.doc.Add("$.keys.dir", "the keystore has no SM2 key for the log; oncegate init makes what is missing")
	}
	if _, err := keys.Ed25519(keystore.Log, ""); err != nil {
		l.doc.Add("$.keys.dir", "the keystore has no Ed25519 key for the log; oncegate init makes what is missing")
	}
	status, err := FindCurrent(keys, keystore.Status, "")
	if err != nil {
		l.doc.Add("$.keys.dir", "the keystore has no key for status lists; oncegate init makes what is missing")
		return
	}
	l.checkOwnChain("$.keys.dir", status, pki.Status, "")
}

// checkOwnChain verifies the certificate of one of our keys up to an anchor.
func (l *loader) checkOwnChain(at string, k keystore.Info, usage, uscc string) {
	if len(k.Chain) == 0 {
		l.doc.Add(at, "key %s has no certificate; oncegate keys csr asks for one", k.ID)
		return
	}
	certs, err := pki.ParseChain(k.Chain)
	if err != nil {
		l.doc.Add(at, "the certificate of key %s: %v", k.ID, err)
		return
	}
	if l.chains == nil {
		return
	}
	problem, fatal := l.checkChain(certs, usage, uscc)
	if problem != "" && !l.delegated(uscc, certs, usage) {
		l.doc.Add(at, "key %s: %s", k.ID, problem)
		l.faults[len(l.faults)-1].Warning = !fatal
	}
}

// delegated reports whether a department's licenses may be signed by the body that the certificate names.
func (l *loader) delegated(issuer string, certs []*pki.Certificate, usage string) bool {
	leaf, err := l.chains.Chain(certs[0], certs[1:], l.now, usage)
	if err != nil {
		return false
	}
	for _, d := range l.setup.Trust.Delegations {
		if d.Issuer == issuer && d.Delegate == leaf.USCC {
			return true
		}
	}
	return false
}

// FindSealKey finds the key that uses a department's seal: of the keys that the configuration means, the newest on the seal's list of
// signers, so that a key which was rotated serves until the seal maker has made a seal for the new one. Without a seal it is the
// key that the next seal is to be made for.
func (d Department) FindSealKey(keys *keystore.Store, made *seal.Seal) (found keystore.Info, err error) {
	err = fs.ErrNotExist
	for _, k := range keys.List() { // oldest first
		if k.Usage != keystore.Seal || k.Algorithm != keystore.SM2 {
			continue
		}
		own := d.Seal.Key == CurrentKey && k.Owner == d.USCC && (made != nil || k.State == keystore.Current)
		listed := made == nil || len(k.Chain) > 0 && made.Signers.Has(k.Chain[0])
		if (own || d.Seal.Key == k.ID) && listed {
			found, err = k, nil
		}
	}
	return found, err
}

// checkSeal verifies a department's seal: its key, its certificate chain and its period of validity.
func (l *loader) checkSeal(at string, d Department) {
	if d.Seal == (DepartmentSeal{}) {
		return
	}
	if d.Seal.Key == "" || d.Seal.ESL == "" {
		l.doc.Add(at, "a seal has a key that uses it and a file (esl)")
		return
	}
	if _, err := d.FindSealKey(l.setup.Keys, nil); err != nil {
		if d.Seal.Key == CurrentKey {
			l.doc.Add(at+".key", "the keystore has no seal key of department %s; oncegate init makes what is missing", d.ID)
		} else {
			l.doc.Add(at+".key", "the keystore has no seal key %q; give the id of one it has", fault.Clip(d.Seal.Key))
		}
		return
	}
	l.looked = append(l.looked, d.Seal.ESL)
	if _, err := os.Stat(d.Seal.ESL); errors.Is(err, fs.ErrNotExist) {
		l.doc.Warn(at+".esl", "%s is not there: licenses of %s have no document form; oncegate init makes a seal for trying things out", l.relative(d.Seal.ESL), d.ID)
		return
	}
	data, ok := l.bytes(at+".esl", d.Seal.ESL)
	if !ok {
		return
	}
	s, err := seal.ParseSeal(data)
	if err != nil {
		l.doc.Add(at+".esl", "%s: %v", l.relative(d.Seal.ESL), err)
		return
	}
	k, err := d.FindSealKey(l.setup.Keys, s)
	if err != nil {
		l.doc.Add(at+".esl", "the seal is not for the key that is to use it: its list of signers has another certificate")
		return
	}
	if d.Seal.Key == CurrentKey && k.State != keystore.Current {
		l.doc.Warn(at+".esl", "the seal is for a key that was rotated, %s: ask the seal maker for one for the new key", k.ID)
	}
	l.checkOwnChain(at+".key", k, pki.Seal, d.USCC)
	if certs, err := pki.ParseChain(k.Chain); err == nil && len(certs) > 0 && l.checkSealSteps(at+".esl", s, certs) {
		l.setup.Seals[d.USCC] = s
	}
}

// checkSealSteps verifies a seal that the key of a chain is to use. An expired seal is a warning: its department's
// licenses have no document form until there is a new one.
func (l *loader) checkSealSteps(at string, s *seal.Seal, chain []*pki.Certificate) bool {
	trust, err := pki.NewVerifier(pki.Trust{Anchors: slices.Concat(l.setup.Anchors, l.setup.SealAnchors), Known: l.setup.Known, Usages: l.setup.Usages, VerifyBoth: second.VerifyBoth})
	if err != nil {
		return true // the anchors have their own faults
	}
	holds := true
	report := s.Verify(context.Background(), seal.Expect{
		Trust: trust, Intermediates: slices.Concat(chain[1:], l.setup.Authorities), Now: l.now, Verify: second.VerifyBoth,
	})
	for _, step := range report.Steps {
		if step.State != check.Failed {
			continue
		}
		l.doc.Add(at, "the seal does not hold: %s: %s", step.Name, step.Reason)
		late := step.Name == seal.StepPeriod || step.Name == seal.StepPeriodNow
		l.faults[len(l.faults)-1].Warning = late
		holds = holds && late
	}
	return holds
}
