package install

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/envelope"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/config"
	"oncegate/gateway"
	"oncegate/store"
	"oncegate/tlog"
	"oncegate/verdict"
)

// errNoKeys says why nothing personal of a store can be read that was opened without keys.
var errNoKeys = errors.New("the store was opened without its keys")

// keyless is the sealer of a store that is only read for its log.
type keyless struct{}

func (keyless) Seal([]byte, []byte) ([]byte, error) { return nil, errNoKeys }

func (keyless) Open([]byte, []byte) ([]byte, error) { return nil, errNoKeys }

func (keyless) Tag([]byte) []byte { return nil }

func (keyless) CheckTag([]byte, []byte) error { return errNoKeys }

// OpenLogFile opens the SQLite database of a stopped node, or a copy of it, without any key: for verifying the log in it.
func OpenLogFile(ctx context.Context, path, origin string) (*store.DB, error) {
	if _, err := os.Stat(path); err != nil { // store.Open would make it
		return nil, errors.New(config.PathReason(err))
	}
	return OpenKeyless(ctx, store.Config{Path: path, Log: origin})
}

// OpenKeyless opens a database without any key, for verifying the log in it. Nothing sealed opens, and nothing can be recorded.
func OpenKeyless(ctx context.Context, c store.Config) (*store.DB, error) {
	c.Sealer, c.Digest = keyless{}, func([]byte) []byte { return make([]byte, 32) }
	return store.Open(ctx, c)
}

// StateOptions say how VerifyState works. The zero value is usable.
type StateOptions struct {
	// Trust is what is trusted of the logs that it names, nil for none; of others the keystore's keys are.
	Trust *verdict.Trust
	// Filed is a checkpoint, receipt or answer that somebody filed: the log must extend it. The zero value is none.
	Filed verdict.Artefact
	// Database is a copy of the SQLite database that is verified in its place; empty: the configured one.
	Database string

	Now      func() time.Time
	Progress func(what string) func(done, total uint64) // nil: nobody asks
}

// A VerifiedState is the result of verifying a database against its logs.
type VerifiedState struct {
	Logs      []VerifiedLog       `json:"logs"`
	Steps     []check.Step        `json:"steps"`
	Faults    []audit.StateFault  `json:"faults"` // at most audit.MaxStateFaults of each step
	Count     int                 `json:"fault_count"`
	Checked   map[string]uint64   `json:"checked"`   // rows or records that each step has looked at
	Adopted   []store.AdoptedRows `json:"adopted"`   // rows that a record took on without proof
	Witnesses []string            `json:"witnesses"` // that have co-signed the newest checkpoint
}

// A VerifiedLog is one of the logs of the database, with the checkpoint that everything is held against.
type VerifiedLog struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	SM3    string `json:"sm3_root"`
}

// Verdict is proven where every step is ok, and refuted where one failed.
func (v VerifiedState) Verdict() api.Verdict {
	verdict := api.VerdictProven
	for _, s := range v.Steps {
		switch {
		case s.State == check.Failed:
			return api.VerdictRefuted
		case s.State == check.OK, strings.HasSuffix(s.Name, tlog.StepEd25519): // the line is optional
		case strings.HasPrefix(s.Name, "filed/"): // what was filed need not be proven in every way: log-extends-filed says whether it was enough
		default:
			verdict = api.VerdictNotProven
		}
	}
	return verdict
}

// VerifyState replays the logs of an installation's database and compares every table with them (store.DB.VerifyState,
// audit.VerifyStored). Whoever altered the database without keys is found by it. Whoever holds all keys could have made logs and tables
// anew: against them it proves as much as the newest checkpoint is fixed elsewhere, by a witness or by who filed it. No node may be
// running. The error is a fault.List where the configuration is unusable, and says otherwise that something could not be read, which is no
// verdict.
func VerifyState(ctx context.Context, path string, o StateOptions) (VerifiedState, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(string) func(done, total uint64) { return func(uint64, uint64) {} }
	}
	setup, err := config.LoadWithKeys(path, o.Now())
	if err != nil {
		return VerifiedState{}, err
	}
	v := &stateVerifier{setup: setup, options: o}
	if err := v.run(ctx); err != nil {
		return VerifiedState{}, fmt.Errorf("verify state: %w", err)
	}
	return v.VerifiedState, nil
}

type stateVerifier struct {
	setup   *config.Setup
	options StateOptions
	VerifiedState
}

func (v *stateVerifier) run(ctx context.Context) (err error) {
	db, keyring, err := v.setup.OpenStore(ctx, config.OpenOptions{Now: v.options.Now, Copy: v.options.Database, Existing: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	logs, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	for i := range logs {
		if err := v.log(ctx, logs, i); err != nil {
			return err
		}
	}
	if err := v.tables(ctx, db, keyring, logs); err != nil {
		return err
	}
	after, err := db.Logs(ctx)
	if err == nil && !slices.EqualFunc(logs, after, func(a, b store.KeptLog) bool { return a.Head.Checkpoint == b.Head.Checkpoint }) {
		err = errors.New("the log grew meanwhile: stop every node, or verify a copy of the database")
	}
	return err
}

// tables compares the tables, and the evidence beside the records, with the records.
func (v *stateVerifier) tables(ctx context.Context, db *store.DB, keyring *config.Keyring, logs []store.KeptLog) error {
	state, err := db.VerifyState(ctx, store.StateOptions{NewSM3: sm.New, Progress: v.options.Progress("replayed records")})
	if err != nil {
		return err
	}
	records, err := v.setup.AuditConfig(nil, nil, keyring, v.options.Now)
	if err != nil {
		return err
	}
	var total uint64
	for _, l := range logs {
		total += l.Head.Size
	}
	bar, lost := v.options.Progress("opened records"), false
	has := map[string]bool{}
	for _, k := range v.setup.Keys.List() {
		has[k.ID] = true
	}
	beside, err := audit.VerifyStored(ctx, records, db.Stored(), audit.StoredOptions{
		UnknownKey: envelope.ErrUnknownKey, Claimed: gateway.ClaimOf, Vouched: gateway.VouchedOf, Progress: func(done uint64) { bar(done, total) }, IndexKeyLost: func() bool { return lost },
		Inputs: func(operation string, inputs jsontext.Value) {
			if !slices.Contains(KeyOperations, operation) {
				return
			}
			keys, err := ParseKeys(inputs)
			lost = lost || err != nil || slices.ContainsFunc(keys, func(k KeyRecord) bool { return k.Usage == keystore.Index && k.State != Registered && !has[k.ID] })
		},
	})
	if err != nil {
		return err
	}
	v.Adopted, v.Checked = state.Adopted, map[string]uint64{}
	checks := state.Checks
	for _, c := range beside {
		if i := slices.IndexFunc(checks, func(k audit.StateCheck) bool { return k.Name == c.Name }); i >= 0 {
			checks[i].Join(c)
			continue
		}
		checks = append(checks, c)
	}
	for _, c := range checks {
		v.Steps = append(v.Steps, c.Step())
		v.Faults = append(v.Faults, c.Faults...)
		v.Count += c.Count
		v.Checked[c.Name] = c.Checked
	}
	return nil
}

// log verifies one of the logs. Steps of a log from before a recovery begin with its number.
func (v *stateVerifier) log(ctx context.Context, logs []store.KeptLog, i int) error {
	l, last := logs[i], i == len(logs)-1
	add := func(steps ...check.Step) {
		for _, s := range steps {
			if !last {
				s.Name = fmt.Sprintf("log[%d]/%s", i, s.Name)
			}
			v.Steps = append(v.Steps, s)
		}
	}
	trust, known, err := v.trustOf(l.Origin, l.Head.Checkpoint, last)
	if err != nil {
		return err
	}
	progress := v.options.Progress("entries")
	var is tlog.Checkpoint
	if known {
		var steps []check.Step
		if is, steps, err = trust.VerifyLog(ctx, l.Reader, l.Head.Checkpoint, progress); err != nil && !errors.Is(err, verdict.ErrUnproven) {
			return err
		}
		add(steps...)
	} else {
		if is, err = tlog.ParseCheckpoint(l.Head.Checkpoint); err != nil {
			add(check.Step{Name: tlog.StepCheckpoint, State: check.Failed, Reason: err.Error()})
			return nil
		}
		add(check.Step{Name: "log-known", State: check.NotCheckable, Reason: "no key of this log is in the keystore or in the trust"})
		step := check.Step{Name: "log-entries", State: check.OK}
		if err := audit.VerifyLog(ctx, l.Reader, is, sm.New, progress); errors.Is(err, tlog.ErrUnproven) {
			step.State, step.Reason = check.Failed, err.Error()
		} else if err != nil {
			return err
		}
		add(step)
	}
	v.Logs = append(v.Logs, VerifiedLog{Origin: l.Origin, Size: l.Head.Size, SM3: sm.B64(is.SM3[:])})
	if is.Size != l.Head.Size {
		add(check.Step{Name: "log-entries", State: check.Failed, Reason: fmt.Sprintf("the head says %d entries, and its checkpoint %d", l.Head.Size, is.Size)})
	}
	if !last {
		return v.extended(ctx, logs, i, is, add)
	}
	if known {
		cosigned, err := trust.Cosignatures(l.Head.Checkpoint)
		if err != nil {
			return nil // malformed: a step says so
		}
		for _, w := range cosigned {
			if w.State == check.OK {
				v.Witnesses = append(v.Witnesses, w.Witness)
			}
		}
	}
	if v.options.Filed.Name == "" || !known {
		return nil
	}
	_, _, steps, err := trust.VerifyExtends(ctx, l.Reader, l.Head.Checkpoint, v.options.Filed)
	if err != nil && !errors.Is(err, verdict.ErrUnproven) {
		return err
	}
	for _, s := range steps {
		if !slices.ContainsFunc(v.Steps, func(is check.Step) bool { return is.Name == s.Name }) {
			add(s)
		}
	}
	if err != nil && verdict.Failure(steps) == nil {
		add(check.Step{Name: "log-extends-filed", State: check.NotCheckable, Reason: err.Error()})
	}
	return nil
}

// extended holds a log from before a recovery against the checkpoint that the next one begins with: the same, where the backup is not
// older than it. What a backup lacks is lost, and recovery has said so.
func (v *stateVerifier) extended(ctx context.Context, logs []store.KeptLog, i int, is tlog.Checkpoint, add func(...check.Step)) error {
	leaves, err := logs[i+1].Reader.Leaves(ctx, 0, 1)
	if err != nil {
		return nil // the next log's own steps say so
	}
	then, err := tlog.ParseCheckpoint(string(leaves[0]))
	if err != nil || then.Origin != is.Origin || then.Size > is.Size {
		return nil
	}
	step := check.Step{Name: "log-extends-filed", State: check.OK}
	if err := tlog.VerifyExtends(ctx, logs[i].Reader, sm.New, then, is); errors.Is(err, tlog.ErrUnproven) {
		step.State, step.Reason = check.Failed, err.Error()
	} else if err != nil {
		return err
	}
	add(step)
	return nil
}

// trustOf is what is trusted of a log: the trust that was brought along, if it names the log, or the keystore's keys. known is false where
// no key there signed the checkpoint, and the log is one from before a recovery, whose keys may be gone.
func (v *stateVerifier) trustOf(origin, checkpoint string, last bool) (trust *verdict.Trust, known bool, err error) {
	if v.options.Trust != nil && slices.Contains(v.options.Trust.Origins(), origin) {
		return v.options.Trust, true, nil
	}
	config, err := v.setup.TrustConfig(v.options.Now)
	if err != nil {
		return nil, false, err
	}
	own := config.Logs[0]
	own.Origin = origin
	if own.Ed25519, err = vkeyOf(origin, own.Ed25519); err != nil {
		return nil, false, err
	}
	var sm2 *ecdsa.PublicKey
	for _, k := range v.setup.Keys.List() {
		switch {
		case k.Usage != keystore.Log:
		case k.SM2 != nil && signedBy(origin, checkpoint, k.SM2, nil):
			sm2 = k.SM2
		}
	}
	if sm2 == nil && !last {
		return nil, false, nil
	}
	if sm2 != nil {
		own.SM2 = sm2
		for _, k := range v.setup.Keys.List() {
			if k.Usage == keystore.Log && k.Ed25519 != nil && signedBy(origin, checkpoint, sm2, k.Ed25519) {
				if own.Ed25519, err = lognote.MarshalVKey(origin, k.Ed25519); err != nil {
					return nil, false, err
				}
			}
		}
	}
	config.Logs = []verdict.Log{own}
	trust, err = verdict.NewTrust(config)
	return trust, true, err
}

// vkeyOf is a key under the name of another log.
func vkeyOf(origin, vkey string) (string, error) {
	_, key, err := lognote.ParseVKey(vkey)
	if err != nil {
		return "", err
	}
	return lognote.MarshalVKey(origin, key)
}

// signedBy reports whether a checkpoint has sound lines of both keys; ed may be nil.
func signedBy(origin, checkpoint string, sm2 *ecdsa.PublicKey, ed ed25519.PublicKey) bool {
	verifier, err := lognote.SM2NoteVerifier(origin, sm2, sm.Verify)
	if err != nil {
		return false
	}
	trust := tlog.Trust{Origin: origin, SM2: verifier, NewSM3: sm.New}
	if ed != nil {
		list, err := lognote.Ed25519NoteVerifiers(origin, ed)
		if err != nil {
			return false
		}
		trust.Ed25519 = list[0]
	}
	_, steps, err := tlog.VerifyCheckpoint(checkpoint, trust)
	return err == nil && !slices.ContainsFunc(steps, func(s check.Step) bool { return s.Name == tlog.StepEd25519 && ed != nil && s.State != check.OK })
}
