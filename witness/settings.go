package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/mod/sumdb/note"

	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/fault"
	"oncegate/strictyaml"
	"oncegate/tlog"
)

// Settings are the configuration file of a witness. Relative paths are relative to the file. Unknown keys are errors.
type Settings struct {
	Name   string        `yaml:"name"`   // of its key, in every line that it signs, such as audit.example/witness: no spaces, no plus sign
	Key    string        `yaml:"key"`    // its Ed25519 key, PKCS#8 PEM, readable by nobody else; init makes it
	State  string        `yaml:"state"`  // folder with what it has co-signed, and the evidence of forks. Keep it as long as the key: a witness that forgets would sign a fork
	Listen string        `yaml:"listen"` // host:port where logs ask it
	Admin  string        `yaml:"admin"`  // host:port of health and metrics, on loopback
	TLS    TLS           `yaml:"tls"`    // of listen; without it plain HTTP: everything that it takes and gives is signed
	Logs   []LogSettings `yaml:"logs"`   // that it co-signs, and no others
}

// TLS names the server's certificate chain and key, PEM.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// LogSettings is a log that is co-signed. Its keys come with the gateway's trust folder: take it from its operator by hand, not from the gateway.
type LogSettings struct {
	Origin string   `yaml:"origin"` // such as gateway.example/log
	Keys   []string `yaml:"keys"`   // its vkey lines (Ed25519), or files that hold one: log.ed25519.pub of the trust folder, and those of retired keys
	SM2    []string `yaml:"sm2"`    // PEM files of its SM2 keys: log.sm2.pub.pem of the trust folder; without one the SM2 line is not looked at
	URL    string   `yaml:"url"`    // where it publishes its tiles, such as https://gateway.example/log; without it the growth of its SM3 tree is not proven
}

// maxFile bounds the configuration and every file that it names, in bytes.
const maxFile = 1 << 20

var settingsLimits = strictyaml.Limits{Bytes: maxFile, Depth: 16, Values: 1 << 14}

// Load reads a configuration and everything that it names, and reports every fault at once, warnings among them. What it returns is
// complete only where no fault is fatal.
func Load(file string) (Settings, Config, fault.List) {
	var s Settings
	var faults fault.List
	data, err := readFile(file)
	if err != nil {
		faults.AddAt(fault.Place{File: file}, "%v", err)
		return s, Config{}, faults
	}
	l := &loader{doc: strictyaml.Decode(file, data, settingsLimits, &s, &faults), dir: filepath.Dir(file)}
	l.paths(&s.Key, &s.State, &s.TLS.Certificate, &s.TLS.Key)
	c := Config{Name: s.Name, State: s.State}
	l.unless(s.Listen != "", "$.listen", "say where logs ask the witness: host:port")
	l.unless((s.TLS.Certificate == "") == (s.TLS.Key == ""), "$.tls", "certificate and key belong together")
	if c.Key, err = readKey(s.Key); err != nil {
		l.doc.Add("$.key", "%v", err)
	} else if _, err := lognote.MarshalWitnessVKey(s.Name, c.Key.Public().(ed25519.PublicKey)); err != nil {
		l.doc.Add("$.name", "%v", err)
	}
	l.unless(len(s.Logs) > 0, "$.logs", "a witness without a log has nothing to sign")
	seen := make(map[string]bool)
	for i, named := range s.Logs {
		at := fmt.Sprintf("$.logs[%d]", i)
		l.unless(!seen[named.Origin], at+".origin", "the log is named twice")
		seen[named.Origin] = true
		c.Logs = append(c.Logs, l.log(at, named))
	}
	return s, c, faults.Sorted()
}

// A loader reads what a configuration names.
type loader struct {
	doc *strictyaml.Document
	dir string
}

func (l *loader) unless(ok bool, path, format string, args ...any) {
	if !ok {
		l.doc.Add(path, format, args...)
	}
}

func (l *loader) paths(paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(l.dir, filepath.FromSlash(*p))
		}
	}
}

func (l *loader) log(at string, s LogSettings) Log {
	log := Log{Origin: s.Origin}
	l.unless(s.Origin != "", at+".origin", "the log has a name: its origin")
	l.unless(len(s.Keys) > 0, at+".keys", "name the log's key: log.ed25519.pub of its trust folder")
	for i, text := range s.Keys {
		place := fmt.Sprintf("%s.keys[%d]", at, i)
		if !lognote.IsVKey(text) {
			data, ok := l.file(place, text)
			if !ok {
				continue
			}
			text = string(data)
		}
		key, err := lognote.Ed25519NoteVerifier(strings.TrimSpace(text))
		if err != nil {
			l.doc.Add(place, "%v", err)
			continue
		}
		l.unless(key.Name() == s.Origin, place, "it is the key of log %s", fault.Clip(key.Name()))
		log.Keys = append(log.Keys, key)
	}
	for i, name := range s.SM2 {
		place := fmt.Sprintf("%s.sm2[%d]", at, i)
		data, ok := l.file(place, name)
		if !ok {
			continue
		}
		key, err := sm.ParsePEM(data)
		var verifier note.Verifier
		if err == nil {
			verifier, err = lognote.SM2NoteVerifier(s.Origin, key, nil)
		}
		if err != nil {
			l.doc.Add(place, "%v", err)
			continue
		}
		log.SM2 = append(log.SM2, verifier)
	}
	if s.URL == "" {
		l.doc.Warn(at, "without url only the SHA-256 tree of this log is witnessed: name where it publishes its tiles")
		return log
	}
	u, err := url.Parse(s.URL)
	l.unless(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "" && u.User == nil, at+".url", "is no address such as https://gateway.example/log")
	log.Tiles = &tlog.Remote{Base: s.URL, Client: newClient()}
	return log
}

func (l *loader) file(at, name string) ([]byte, bool) {
	l.paths(&name)
	data, err := readFile(name)
	if err != nil {
		l.doc.Add(at, "%v", err)
	}
	return data, err == nil
}

// readFile reads a small file. Its error says which one in a phrase.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return data, err
}

// readKey reads the witness's key. A key that others can read is no secret.
func readKey(name string) (ed25519.PrivateKey, error) {
	if name == "" {
		return nil, errors.New("name the file of the witness's key; oncegate witness init makes one")
	}
	data, err := readFile(name)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s can be read by others: chmod 600", name)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("%s is no PEM of one private key (PKCS#8)", name)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := any.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is no Ed25519 key", name)
	}
	return key, nil
}

// Names of what Init makes.
const (
	SettingsFile = "witness.yaml"
	keyFile      = "witness.key"
	stateFolder  = "state"
)

// template is a new witness's configuration.
const template = `# The configuration of a witness (oncegate witness). docs/operations.md explains it.
name: %s
key: witness.key   # whoever has it signs as this witness: back it up sealed, never beside the state
state: state       # what was co-signed: a witness that forgets it would sign a fork
listen: 127.0.0.1:8430
admin: 127.0.0.1:8431
logs:
  - origin: gateway.example/log
    keys: [trust/log.ed25519.pub]   # from the gateway's trust folder, handed over by hand
    sm2: [trust/log.sm2.pub.pem]
    url: https://gateway.example/log
`

// Init makes a new witness in a folder: configuration, key and an empty state. What is there stays, and is an error.
func Init(dir, name string) (vkey string, err error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	if vkey, err = lognote.MarshalWitnessVKey(name, public); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, stateFolder), 0o700); err != nil {
		return "", err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
		{SettingsFile, fmt.Appendf(nil, template, name)},
	} {
		if err := writeNew(filepath.Join(dir, f.name), f.data); err != nil {
			return "", err
		}
	}
	return vkey, nil
}

// writeNew writes a file that must not be there, durably.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
