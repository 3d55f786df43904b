package verdict

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/fault"
	"oncegate/tlog"
)

// TrustConfig is what a verifier trusts before it looks at anything. Nothing of it comes from what is verified.
type TrustConfig struct {
	Logs    []Log
	Anchors []*pki.Certificate // self-signed roots of license, status and other keys, of seals and time stamps too
	Callers []Caller           // keys that sign calls
	// IdentityServices vouch for the persons who act in calling systems. Without one, their word is not trusted.
	IdentityServices []IdentityService
	Gateway          string // id of the gateway: the audience of calls; "" leaves audiences unchecked
	Delegations      []Delegation
	// Issues say which bodies issue which types. Of a type that none names, nobody said who issues it.
	Issues []Issue
	// StatusLists say who signs the status lists of which addresses. Without any, no status list is trusted.
	StatusLists []ListSigner
	// Seen remembers the newest status lists that were trusted; nil remembers none from one call to the next.
	Seen *SeenLists
	// Witnesses are C2SP vkey lines of witnesses' Ed25519 keys: cosignature/v1 (type 0x04) or plain (0x01).
	Witnesses []string
	// Quorum says of which organisations the witnesses are, and how many must have co-signed. Zero: nothing is said of that.
	Quorum audit.Quorum
	// Known gives code and usage of certificates of other authorities, by pki.Fingerprint.
	Known map[string]pki.Known
	// Usages says where certificates under an anchor say what their keys are for, by pki.Fingerprint of the anchor.
	Usages map[string]pki.UsageRule
	// SealAnchors are roots besides Anchors for those who make seals and who seal or sign documents, and for nothing else;
	// TimeStampAnchors are so for time-stamping authorities.
	SealAnchors, TimeStampAnchors []*pki.Certificate
	// Authorities stand between an anchor and certificates that come without them, as those in seals do. They count as far
	// as an anchor signed them.
	Authorities []*pki.Certificate
	// Evidence are revocation lists, OCSP answers and status lists that were kept. They count as far as an authority signed
	// them.
	Evidence []Artefact
	// Require says what must stand beside authenticity for something to be proven.
	Require Requirement
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Log is a transparency log whose records are trusted.
type Log struct {
	Origin  string
	SM2     *ecdsa.PublicKey // required
	Ed25519 string           // C2SP vkey line; "" leaves that line of a checkpoint unchecked
}

// A Caller is the key of a system that signs calls.
type Caller struct {
	System, KeyID string
	Key           *ecdsa.PublicKey
}

// An IdentityService is a key whose actor tokens are trusted, and for what. One service may have several keys; the systems and roles of
// all of them count.
type IdentityService struct {
	Service, KeyID string
	Key            *ecdsa.PublicKey
	Systems        []string // calling systems that it may speak for
	Roles          []string // that it may assert
}

// Trust verifies artefacts. It is immutable and safe for concurrent use.
type Trust struct {
	logs        map[string]audit.Trust // by origin
	once        map[string]audit.Trust // the same logs, of whose SM2 signatures the first verifier alone decides
	anchors     []*pki.Certificate     // all of them
	chains      *pki.Verifier          // by Anchors
	seals       *pki.Verifier          // by Anchors and SealAnchors
	stamps      *pki.Verifier          // by Anchors and TimeStampAnchors
	known       map[string]pki.Known
	authorities []*pki.Certificate
	kept        []Artefact          // status lists that were kept
	evidence    revocation.Evidence // other evidence that was kept
	callers     map[[2]string]*ecdsa.PublicKey
	services    map[string]token.IdentityService // by iss
	gateway     string
	delegations []Delegation
	issues      []Issue
	listSigners []coveredLists
	seen        *SeenLists
	require     Requirement
	keys        map[string]string // what a key file in this trust is for, by its point or vkey line
	now         func() time.Time
	verifySM2   sm.VerifyFunc // second.VerifyBoth; each call draws it from a budget of its own
}

// NewTrust checks the configuration and reports all its faults at once, as [Faults].
func NewTrust(c TrustConfig) (*Trust, error) {
	t := &Trust{
		logs: make(map[string]audit.Trust), once: make(map[string]audit.Trust), callers: make(map[[2]string]*ecdsa.PublicKey), services: make(map[string]token.IdentityService),
		anchors: slices.Concat(c.Anchors, c.SealAnchors, c.TimeStampAnchors), authorities: c.Authorities, known: c.Known,
		gateway: c.Gateway, seen: c.Seen, require: c.Require, keys: make(map[string]string), now: c.Now, verifySM2: second.VerifyBoth,
	}
	if t.now == nil {
		t.now = time.Now
	}
	var faults Faults
	witnesses := t.addWitnesses(&faults, c)
	if c.Require.Witnesses < 0 || c.Require.Witnesses > len(c.Witnesses) {
		faults.add("$.require.witnesses", fmt.Sprintf("must be 0 to %d, the number of witnesses that the trust names", len(c.Witnesses)))
	}
	faults.addErr("$.quorum", checkQuorum(c.Quorum, witnesses))
	if c.Require.Quorum && c.Quorum.Need == 0 {
		faults.add("$.require.quorum", "the trust states no quorum")
	}
	for i, l := range c.Logs {
		faults.addErr(fmt.Sprintf("$.logs[%d]", i), t.addLog(l, witnesses, c.Quorum))
	}
	for i, k := range c.Callers {
		faults.addErr(fmt.Sprintf("$.callers[%d]", i), t.addCaller(k))
	}
	for i, s := range c.IdentityServices {
		faults.addErr(fmt.Sprintf("$.identity_services[%d]", i), t.addIdentityService(s))
	}
	for i, d := range c.Delegations {
		faults.addErr(fmt.Sprintf("$.delegations[%d]", i), t.addDelegation(d))
	}
	for i, issue := range c.Issues {
		faults.addErr(fmt.Sprintf("$.issues[%d]", i), t.addIssue(issue))
	}
	for i, l := range c.StatusLists {
		faults.addErr(fmt.Sprintf("$.status_lists[%d]", i), t.addListSigner(l))
	}
	for _, fingerprint := range slices.Sorted(maps.Keys(c.Usages)) {
		faults.addErr("$.usages", t.checkUsage(fingerprint, c.Usages[fingerprint]))
	}
	t.chains = faults.verifier("$.anchors", c, nil)
	t.seals = faults.verifier("$.seal_anchors", c, c.SealAnchors)
	t.stamps = faults.verifier("$.timestamp_anchors", c, c.TimeStampAnchors)
	for i, a := range c.Evidence {
		faults.addErr(fmt.Sprintf("$.evidence[%d]", i), t.keep(a))
	}
	return t, faults.err()
}

// verifier installs the anchors for one purpose. What is wrong with those for all purposes is told once.
func (f *Faults) verifier(path string, c TrustConfig, more []*pki.Certificate) *pki.Verifier {
	v, err := pki.NewVerifier(pki.Trust{Anchors: slices.Concat(c.Anchors, more), Known: c.Known, Usages: c.Usages, Verify: second.VerifyBoth, VerifyBoth: second.VerifyBoth})
	if path == "$.anchors" || len(more) > 0 && !slices.ContainsFunc(*f, func(old fault.Fault) bool { return old.Path == "$.anchors" }) {
		f.addErr(path, err)
	}
	return v
}

// addWitnesses reads the witnesses' keys. One key is one witness: under two names it would count twice, and a log that
// co-signs its own checkpoints is no witness of itself.
func (t *Trust) addWitnesses(faults *Faults, c TrustConfig) (list []note.Verifier) {
	names := make(map[string]string) // by key
	for _, l := range c.Logs {
		if name, key, err := lognote.ParseVKey(l.Ed25519); err == nil {
			names[string(key)] = name
		}
	}
	for i, line := range c.Witnesses {
		path := fmt.Sprintf("$.witnesses[%d]", i)
		keys, err := lognote.WitnessNoteVerifiers(line)
		if err != nil {
			faults.addErr(path, err)
			continue
		}
		w := keys[0]
		if name, used := names[string(w.Key())]; used && name != w.Name() {
			faults.add(path, fmt.Sprintf("the key is also that of %q", name))
			continue
		}
		names[string(w.Key())] = w.Name()
		t.keys[strings.TrimSpace(line)] = "witness " + w.Name()
		for _, key := range keys {
			list = append(list, key)
		}
	}
	return list
}

// checkQuorum checks a policy. A member whose key the trust lacks could never sign, and one whose lines carry no time never count.
func checkQuorum(q audit.Quorum, witnesses []note.Verifier) error {
	if q.Need == 0 && len(q.Members) == 0 {
		return nil
	}
	if err := q.Check(); err != nil {
		return err
	}
	for _, m := range q.Members {
		if !slices.ContainsFunc(witnesses, func(v note.Verifier) bool { return v.Name() == m.Witness }) {
			return fmt.Errorf("the trust has no key of witness %q", m.Witness)
		}
	}
	return nil
}

// Cosignatures says which of the witnesses that the trust names have co-signed a checkpoint, and when. The error says that
// the checkpoint is malformed, or of a log that the trust does not name; the log's own signatures are not judged.
func (t *Trust) Cosignatures(checkpoint string) ([]audit.Cosignature, error) {
	trust, err := t.logOf(checkpoint)
	if err != nil {
		return nil, err
	}
	return audit.Cosignatures(checkpoint, trust.Witnesses), nil
}

// checkUsage checks a rule. One for an anchor that is not there would leave the anchor meant without any.
func (t *Trust) checkUsage(fingerprint string, r pki.UsageRule) error {
	if !slices.ContainsFunc(t.anchors, func(a *pki.Certificate) bool { return pki.Fingerprint(a) == fingerprint }) {
		return fmt.Errorf("no anchor has the fingerprint %q (SM3 of the DER, lower-case hex)", fingerprint)
	}
	if err := r.Check(); err != nil {
		return fmt.Errorf("anchor %s: %w", fingerprint, err)
	}
	return nil
}

func (t *Trust) addLog(l Log, witnesses []note.Verifier, q audit.Quorum) error {
	if _, twice := t.logs[l.Origin]; twice {
		return errors.New("the origin is named twice")
	}
	if l.SM2 == nil {
		return errors.New("the SM2 key is missing")
	}
	sm2, err := lognote.SM2NoteVerifier(l.Origin, l.SM2, second.VerifyBoth)
	if err != nil {
		return err
	}
	trust := audit.Trust{Trust: tlog.Trust{Origin: l.Origin, SM2: sm2, NewSM3: sm.New}, Witnesses: witnesses, Quorum: q}
	t.keys[string(sm.MarshalPoint(l.SM2))] = "log " + l.Origin
	if l.Ed25519 != "" {
		if trust.Ed25519, err = lognote.Ed25519NoteVerifier(l.Ed25519); err != nil {
			return err
		}
		if trust.Ed25519.Name() != l.Origin {
			return errors.New("the vkey line is of another origin")
		}
		t.keys[strings.TrimSpace(l.Ed25519)] = "log " + l.Origin
	}
	t.logs[l.Origin] = trust
	if trust.SM2, err = lognote.SM2NoteVerifier(l.Origin, l.SM2, sm.Verify); err != nil {
		return err
	}
	t.once[l.Origin] = trust
	return nil
}

func (t *Trust) addCaller(c Caller) error {
	id := [2]string{c.System, c.KeyID}
	switch {
	case c.System == "" || c.KeyID == "":
		return errors.New("iss and kid are required")
	case t.callers[id] != nil:
		return errors.New("the key is named twice")
	case sm.CheckPublicKey(c.Key) != nil:
		return errors.New("the key is no SM2 key")
	}
	t.callers[id] = c.Key
	t.keys[string(sm.MarshalPoint(c.Key))] = "system " + c.System
	return nil
}

func (t *Trust) addIdentityService(i IdentityService) error {
	known := t.services[i.Service]
	switch {
	case i.Service == "" || i.KeyID == "":
		return errors.New("iss and kid are required")
	case known.Keys[i.KeyID].Public != nil:
		return errors.New("the key is named twice")
	case sm.CheckPublicKey(i.Key) != nil:
		return errors.New("the key is no SM2 key")
	case len(i.Systems) == 0:
		return errors.New("systems that the identity service may speak for are required")
	case known.Keys == nil:
		known.Keys = make(map[string]token.ServiceKey)
	}
	known.Keys[i.KeyID] = token.ServiceKey{Public: i.Key}
	known.Systems, known.Roles = append(known.Systems, i.Systems...), append(known.Roles, i.Roles...)
	t.services[i.Service] = known
	t.keys[string(sm.MarshalPoint(i.Key))] = "identity service " + i.Service
	return nil
}

// callerKey returns a registered key; fs.ErrNotExist if there is none.
func (t *Trust) callerKey(system, keyID string) (*ecdsa.PublicKey, error) {
	if key := t.callers[[2]string{system, keyID}]; key != nil {
		return key, nil
	}
	return nil, fs.ErrNotExist
}

// Faults are all things wrong in a trust configuration.
type Faults fault.List

// Error lists every fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Path + ": " + fault.Reason
	}
	return fmt.Sprintf("trust has %d faults: %s", len(f), strings.Join(lines, "; "))
}

func (f *Faults) add(path, reason string) {
	*f = append(*f, fault.Fault{Path: path, Reason: reason})
}

func (f *Faults) addErr(path string, err error) {
	if err != nil {
		f.add(path, err.Error())
	}
}

// err returns the faults as an error, nil if there are none.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// trustSyntax says where trust.json cannot be read: the place as a path, with its line and column.
func trustSyntax(data []byte, err error) fault.Fault {
	var pointer jsontext.Pointer
	var offset int64
	reason := "is not the JSON of a trust file"
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		pointer, offset, reason = e.JSONPointer, e.ByteOffset, e.Err.Error()
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		pointer, offset, reason = e.JSONPointer, e.ByteOffset, "is of another type than a trust file has there"
		if errors.Is(e.Err, json.ErrUnknownName) {
			reason = "is not known in a trust file"
		}
	}
	before := string(data[:min(int(offset), len(data))])
	line := strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndexByte(before, '\n')
	return fault.Fault{Path: yamlPath(pointer), Reason: fmt.Sprintf("%s (line %d, column %d)", reason, line, column)}
}

// yamlPath writes a JSON pointer the way all faults of the house are written: "$.logs[0].sm2".
func yamlPath(p jsontext.Pointer) string {
	path := "$"
	for token := range p.Tokens() {
		if strings.Trim(token, "0123456789") == "" && token != "" {
			path += "[" + token + "]"
		} else {
			path += "." + token
		}
	}
	return path
}
