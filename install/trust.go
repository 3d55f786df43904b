package install

import (
	"crypto/ecdsa"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/verdict"
)

// trustFile is trust.json (design 5.2); verdict.LoadTrust reads it. File names are relative to it.
type trustFile struct {
	Logs         []trustLog         `json:"logs"`
	Anchors      []string           `json:"anchors"`
	Callers      []trustCaller      `json:"callers"`
	Services     []trustService     `json:"identity_services,omitempty"`
	Gateway      string             `json:"gateway"`
	Issues       []trustIssue       `json:"issues"`
	Delegations  []trustDelegation  `json:"delegations"`
	StatusLists  []trustList        `json:"status_lists"`
	Witnesses    []string           `json:"witnesses"`
	Quorum       *trustQuorum       `json:"quorum,omitempty"`
	Certificates []trustCertificate `json:"certificates,omitempty"`
	Usages       []trustUsage       `json:"usages,omitempty"`

	SealAnchors      []string `json:"seal_anchors,omitempty"`
	TimeStampAnchors []string `json:"timestamp_anchors,omitempty"`
	Authorities      []string `json:"authorities,omitempty"`
}

type trustLog struct {
	Origin  string `json:"origin"`
	SM2     string `json:"sm2"`
	Ed25519 string `json:"ed25519"`
}

type trustService struct {
	Service string   `json:"iss"`
	KeyID   string   `json:"kid"`
	Key     string   `json:"key"`
	Systems []string `json:"systems"`
	Roles   []string `json:"roles,omitempty"`
}

type trustCaller struct {
	System string `json:"iss"`
	KeyID  string `json:"kid"`
	Key    string `json:"key"`
}

type trustIssue struct {
	Type     string   `json:"type"`
	TypeCode string   `json:"type_code"`
	Issuers  []string `json:"issuers"`
}

type trustList struct {
	URIPrefix   string `json:"uri_prefix"`
	USCC        string `json:"uscc,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	NotAfter    string `json:"not_after,omitempty"`
}

type trustUsage struct {
	Anchor string            `json:"anchor"`
	From   string            `json:"from"`
	Usages map[string]string `json:"usages,omitempty"`
}

type trustQuorum struct {
	Need    int                 `json:"need"`
	Members []trustQuorumMember `json:"members"`
}

type trustQuorumMember struct {
	Witness      string `json:"witness"`
	Organization string `json:"organization"`
	BothTrees    bool   `json:"both_trees,omitempty"`
}

type trustDelegation struct {
	Type     string `json:"type"`
	TypeCode string `json:"type_code,omitempty"`
	Issuer   string `json:"issuer"`
	Delegate string `json:"delegate"`
}

type trustCertificate struct {
	Fingerprint string `json:"fingerprint"`
	USCC        string `json:"uscc"`
	Usage       string `json:"usage"`
}

// Names of the files in a trust folder.
const (
	TrustFile  = "trust.json"
	LogSM2File = "log.sm2.pub.pem"
	LogEdFile  = "log.ed25519.pub"
	AnchorFile = "ca.cert.pem"
)

// WriteTrust writes the trust folder for verifiers of this gateway: trust.json and the public keys and certificates that it names. Hand it over
// out of band: a verifier who gets it from the gateway trusts the gateway.
func WriteTrust(s *config.Setup, dir string) error {
	if s.Keys == nil {
		return fmt.Errorf("write trust: %w", s.KeysErr)
	}
	if err := writeTrust(s, dir); err != nil {
		return fmt.Errorf("write trust: %w", err)
	}
	return nil
}

func writeTrust(s *config.Setup, dir string) error {
	t, err := s.TrustConfig(time.Now)
	if err != nil {
		return err
	}
	w := trustWriter{dir: dir}
	out := trustFile{Gateway: s.Gateway.ID, Witnesses: t.Witnesses}
	if t.Quorum.Need > 0 {
		out.Quorum = &trustQuorum{Need: t.Quorum.Need}
		for _, m := range t.Quorum.Members {
			out.Quorum.Members = append(out.Quorum.Members, trustQuorumMember(m))
		}
	}
	for _, l := range t.Logs {
		out.Logs = append(out.Logs, trustLog{l.Origin, w.key(LogSM2File, l.SM2), w.file(LogEdFile, []byte(l.Ed25519+"\n"))})
	}
	out.Anchors = w.certificates("ca", s.Anchors)
	out.SealAnchors = w.certificates("seal-ca", s.SealAnchors)
	out.TimeStampAnchors = w.certificates("timestamp-ca", s.TimeStampAnchors)
	out.Authorities = w.certificates("authority", t.Authorities)
	for i, e := range s.Evidence {
		w.file(fmt.Sprintf("%s/%d-%s", verdict.EvidenceDir, i+1, filepath.Base(e.Name)), e.Data)
	}
	for _, c := range t.Callers {
		out.Callers = append(out.Callers, trustCaller{c.System, c.KeyID, w.key("callers/"+c.System+"."+c.KeyID+".pub.pem", c.Key)})
	}
	for _, i := range t.IdentityServices {
		file := w.key("identity-services/"+i.Service+"."+i.KeyID+".pub.pem", i.Key)
		out.Services = append(out.Services, trustService{i.Service, i.KeyID, file, i.Systems, i.Roles})
	}
	for _, d := range t.Delegations {
		out.Delegations = append(out.Delegations, trustDelegation(d))
	}
	for _, i := range t.Issues {
		out.Issues = append(out.Issues, trustIssue(i))
	}
	for _, l := range t.StatusLists {
		list := trustList{URIPrefix: l.URIPrefix, USCC: l.USCC, Fingerprint: l.Fingerprint}
		if !l.NotAfter.IsZero() {
			list.NotAfter = l.NotAfter.Format(time.RFC3339)
		}
		out.StatusLists = append(out.StatusLists, list)
	}
	for _, anchor := range slices.Sorted(maps.Keys(s.Usages)) {
		out.Usages = append(out.Usages, trustUsage{anchor, s.Usages[anchor].From, s.Usages[anchor].Usages})
	}
	for _, fingerprint := range slices.Sorted(maps.Keys(s.Known)) {
		out.Certificates = append(out.Certificates, trustCertificate{fingerprint, s.Known[fingerprint].USCC, s.Known[fingerprint].Usage})
	}
	text, err := json.Marshal(out, jsontext.Multiline(true), json.Deterministic(true))
	if err != nil {
		return err
	}
	w.file(TrustFile, append(text, '\n'))
	return w.err
}

// A trustWriter writes files until the first error.
type trustWriter struct {
	dir string
	err error
}

func (w *trustWriter) key(name string, pub *ecdsa.PublicKey) string {
	text, err := sm.MarshalPEM(pub)
	if err != nil && w.err == nil {
		w.err = err
	}
	return w.file(name, text)
}

// certificates writes ca.cert.pem, ca-2.cert.pem, ….
func (w *trustWriter) certificates(stem string, list []*pki.Certificate) (names []string) {
	for i, c := range list {
		name := stem + ".cert.pem"
		if i > 0 {
			name = fmt.Sprintf("%s-%d.cert.pem", stem, i+1)
		}
		names = append(names, w.file(name, pki.MarshalPEM(c)))
	}
	return names
}

func (w *trustWriter) file(name string, data []byte) string {
	if w.err == nil {
		path := filepath.Join(w.dir, filepath.FromSlash(name))
		if w.err = os.MkdirAll(filepath.Dir(path), 0o755); w.err == nil {
			w.err = replaceFile(path, data, 0o644)
		}
	}
	return name
}

// replaceFile writes a file so that others see the old or the new content, never a part.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(data); err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// TrustOf is the trust of a configuration, for verifying on the gateway's own machine.
func TrustOf(file string, now func() time.Time) (*verdict.Trust, error) {
	if now == nil {
		now = time.Now
	}
	setup, err := config.LoadWithKeys(file, now())
	if err != nil {
		return nil, err
	}
	t, err := setup.TrustConfig(now)
	if err != nil {
		return nil, err
	}
	return verdict.NewTrust(t)
}
