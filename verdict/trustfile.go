package verdict

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/fault"
)

// maxTrustFile bounds trust.json and each file it names, in bytes.
const maxTrustFile = 1 << 20

// trustFile is trust.json (design 5.2). File names are relative to it.
type trustFile struct {
	Logs []struct {
		Origin  string `json:"origin"`
		SM2     string `json:"sm2"`              // SPKI PEM file
		Ed25519 string `json:"ed25519,omitzero"` // C2SP vkey line, or the file that holds it
	} `json:"logs"`
	Anchors []string `json:"anchors"` // PEM certificate files
	Callers []struct {
		System string `json:"iss"`
		KeyID  string `json:"kid"`
		Key    string `json:"key"` // SPKI PEM file
	} `json:"callers,omitzero"`
	IdentityServices []struct {
		Service string   `json:"iss"`
		KeyID   string   `json:"kid"`
		Key     string   `json:"key"`            // SPKI PEM file
		Systems []string `json:"systems"`        // that it may speak for
		Roles   []string `json:"roles,omitzero"` // that it may assert
	} `json:"identity_services,omitzero"`
	Gateway     string `json:"gateway,omitzero"`
	Delegations []struct {
		Type     string `json:"type"`
		TypeCode string `json:"type_code,omitzero"`
		Issuer   string `json:"issuer"`
		Delegate string `json:"delegate"`
	} `json:"delegations,omitzero"`
	Issues []struct {
		Type     string   `json:"type"`
		TypeCode string   `json:"type_code"`
		Issuers  []string `json:"issuers"`
	} `json:"issues,omitzero"`
	StatusLists []struct {
		URIPrefix   string `json:"uri_prefix"`
		USCC        string `json:"uscc,omitzero"`
		Fingerprint string `json:"fingerprint,omitzero"` // SM3 of the DER, lower-case hex
		NotAfter    string `json:"not_after,omitzero"`   // RFC 3339, or a day
	} `json:"status_lists,omitzero"`
	Usages []struct {
		Anchor string            `json:"anchor"` // fingerprint: SM3 of the DER, lower-case hex
		From   string            `json:"from"`   // ou, eku or policy
		Usages map[string]string `json:"usages,omitzero"`
	} `json:"usages,omitzero"`
	Witnesses []string `json:"witnesses,omitzero"` // C2SP vkey lines, or files that hold one
	Quorum    struct {
		Need    int `json:"need"` // organisations that must have co-signed
		Members []struct {
			Witness      string `json:"witness"` // name of its key
			Organization string `json:"organization"`
			BothTrees    bool   `json:"both_trees,omitzero"`
		} `json:"members"`
	} `json:"quorum,omitzero"`
	Certificates []struct {
		Fingerprint string `json:"fingerprint"` // SM3 of the DER, lower-case hex
		USCC        string `json:"uscc"`
		Usage       string `json:"usage"`
	} `json:"certificates,omitzero"` // of other authorities (design 5.5)
	SealAnchors      []string `json:"seal_anchors,omitzero"`      // PEM certificate files, for seals and signed documents only
	TimeStampAnchors []string `json:"timestamp_anchors,omitzero"` // PEM certificate files, for time stamps only
	Require          struct {
		Witnesses int  `json:"witnesses,omitzero"`
		Quorum    bool `json:"quorum,omitzero"`
		InForce   bool `json:"in_force,omitzero"`
		Presenter bool `json:"presenter,omitzero"`
	} `json:"require,omitzero"`
	Authorities []string `json:"authorities,omitzero"` // PEM certificate files of authorities below the anchors
}

// EvidenceDir is the folder beside trust.json whose files are all taken for evidence: revocation lists, OCSP answers and
// status lists, as they were fetched. It may be missing.
const EvidenceDir = "evidence"

// Bounds of the evidence beside trust.json.
const (
	maxEvidence      = 256
	maxEvidenceBytes = 64 << 20
)

// LoadTrust reads trust.json and the files it names. It reports all faults at once, as [Faults]; a trust.json that cannot be
// read at all is an error of its own.
func LoadTrust(file string) (*Trust, error) {
	c, err := ReadTrust(file)
	var faults, more Faults
	if err != nil && !errors.As(err, &faults) {
		return nil, err
	}
	t, err := NewTrust(c)
	if errors.As(err, &more) {
		faults = append(faults, faults.news(more)...)
	}
	return t, faults.err()
}

// news returns those of more that are not mere consequences of f: what could not be read is also missing.
func (f Faults) news(more Faults) (list Faults) {
	for _, m := range more {
		if !slices.ContainsFunc(f, func(old fault.Fault) bool { return strings.HasPrefix(old.Path, m.Path) }) {
			list = append(list, m)
		}
	}
	return list
}

// ReadTrust is LoadTrust without the last check, so that a caller can add to what the file says.
func ReadTrust(file string) (TrustConfig, error) {
	data, err := readBounded(file)
	if err != nil {
		return TrustConfig{}, fmt.Errorf("read trust: %w", err)
	}
	var t trustFile
	if err := json.Unmarshal(data, &t, json.RejectUnknownMembers(true)); err != nil {
		return TrustConfig{}, Faults{trustSyntax(data, err)}
	}
	r := trustReader{dir: filepath.Dir(file)}
	c := r.config(t)
	c.Evidence = r.evidence()
	return c, r.faults.err()
}

// A trustReader follows the file names of a trust.json and notes what is wrong.
type trustReader struct {
	dir    string
	faults Faults
}

func (r *trustReader) config(t trustFile) TrustConfig {
	c := TrustConfig{Gateway: t.Gateway, Known: make(map[string]pki.Known), Usages: make(map[string]pki.UsageRule), Require: Requirement(t.Require)}
	for i, l := range t.Logs {
		path := fmt.Sprintf("$.logs[%d]", i)
		c.Logs = append(c.Logs, Log{Origin: l.Origin, SM2: r.key(path+".sm2", l.SM2), Ed25519: r.vkey(path+".ed25519", l.Ed25519, logVKey)})
	}
	pems := func(member string, names []string) (list []*pki.Certificate) {
		for i, name := range names {
			list = append(list, r.certificates(fmt.Sprintf("$.%s[%d]", member, i), name)...)
		}
		return list
	}
	c.Anchors = pems("anchors", t.Anchors)
	c.SealAnchors = pems("seal_anchors", t.SealAnchors)
	c.TimeStampAnchors = pems("timestamp_anchors", t.TimeStampAnchors)
	c.Authorities = pems("authorities", t.Authorities)
	for i, k := range t.Callers {
		c.Callers = append(c.Callers, Caller{k.System, k.KeyID, r.key(fmt.Sprintf("$.callers[%d].key", i), k.Key)})
	}
	for i, s := range t.IdentityServices {
		c.IdentityServices = append(c.IdentityServices, IdentityService{s.Service, s.KeyID, r.key(fmt.Sprintf("$.identity_services[%d].key", i), s.Key), s.Systems, s.Roles})
	}
	for _, d := range t.Delegations {
		c.Delegations = append(c.Delegations, Delegation(d))
	}
	for _, i := range t.Issues {
		c.Issues = append(c.Issues, Issue(i))
	}
	for i, l := range t.StatusLists {
		until, err := ParseEnd(l.NotAfter)
		r.faults.addErr(fmt.Sprintf("$.status_lists[%d].not_after", i), err)
		c.StatusLists = append(c.StatusLists, ListSigner{l.URIPrefix, l.USCC, l.Fingerprint, until})
	}
	for i, u := range t.Usages {
		if _, twice := c.Usages[u.Anchor]; twice {
			r.faults.add(fmt.Sprintf("$.usages[%d]", i), "the anchor is named twice")
		}
		c.Usages[u.Anchor] = pki.UsageRule{From: u.From, Usages: u.Usages}
	}
	for i, w := range t.Witnesses {
		c.Witnesses = append(c.Witnesses, r.vkey(fmt.Sprintf("$.witnesses[%d]", i), w, witnessVKey))
	}
	c.Quorum.Need = t.Quorum.Need
	for _, m := range t.Quorum.Members {
		c.Quorum.Members = append(c.Quorum.Members, audit.QuorumMember(m))
	}
	for i, k := range t.Certificates {
		if !isFingerprint(k.Fingerprint) || k.USCC == "" || k.Usage == "" {
			r.faults.add(fmt.Sprintf("$.certificates[%d]", i), "fingerprint (SM3, 64 lower-case hex digits), uscc and usage are required")
		}
		c.Known[k.Fingerprint] = pki.Known{USCC: k.USCC, Usage: k.Usage}
	}
	return c
}

// file reads a named file, at most once wrong.
func (r *trustReader) file(path, name string) ([]byte, bool) {
	if name == "" {
		r.faults.add(path, "names no file")
		return nil, false
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(r.dir, name)
	}
	data, err := readBounded(name)
	r.faults.addErr(path, err)
	return data, err == nil
}

func (r *trustReader) key(path, name string) *ecdsa.PublicKey {
	data, ok := r.file(path, name)
	if !ok {
		return nil
	}
	key, err := sm.ParsePEM(data)
	r.faults.addErr(path, err)
	return key
}

func logVKey(line string) error { _, err := lognote.Ed25519NoteVerifier(line); return err }

func witnessVKey(line string) error { _, err := lognote.WitnessNoteVerifiers(line); return err }

// vkey takes a vkey line, or the file that holds one. What is written as a line is no file name.
func (r *trustReader) vkey(path, text string, check func(line string) error) string {
	if text == "" {
		return ""
	}
	if !lognote.IsVKey(text) {
		data, ok := r.file(path, text)
		if !ok {
			return ""
		}
		text = string(data)
	}
	line := strings.TrimSpace(text)
	r.faults.addErr(path, check(line))
	return line
}

// ParseEnd reads the last moment of something: a time, or a day to its end in UTC; "" is zero.
func ParseEnd(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, errors.New("not a time such as 2027-12-31T23:59:59Z, nor a day such as 2027-12-31")
	}
	return t, nil
}

func (r *trustReader) certificates(path, name string) []*pki.Certificate {
	data, ok := r.file(path, name)
	if !ok {
		return nil
	}
	certs, err := pki.ParsePEM(data)
	r.faults.addErr(path, err)
	return certs
}

// evidence reads the folder of evidence, by name. Which of its files cannot be read as evidence, NewTrust says.
func (r *trustReader) evidence() (list []Artefact) {
	entries, err := os.ReadDir(filepath.Join(r.dir, EvidenceDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r.faults.addErr("$.evidence", err)
	left := maxEvidenceBytes
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data, err := readLimited(filepath.Join(r.dir, EvidenceDir, e.Name()), left)
		if left -= len(data); err == nil && len(list) == maxEvidence {
			err = fmt.Errorf("the folder %s has more than %d files", EvidenceDir, maxEvidence)
		}
		if err != nil {
			r.faults.addErr("$.evidence", err)
			break
		}
		list = append(list, Artefact{e.Name(), data}.Parts()...)
	}
	return list
}

func readBounded(name string) ([]byte, error) { return readLimited(name, maxTrustFile) }

func readLimited(name string, limit int) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return data, err
}
