package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/audit"
	"oncegate/config"
	"oncegate/store"
	"oncegate/tlog"
)

// ErrOldKeys says that an older keystore, or an old file of a key in it, was put back: a rollback. A key file is sealed, so that nobody
// without the passphrase can make a retired key current again; but the file of before its rotation still says current. The keystore
// alone cannot tell, because all of it can be put back. The log can: it has a record of every set of keys that was in force.
var ErrOldKeys = errors.New("an older keystore was put back")

// OldKeysAdvice says what to do after ErrOldKeys.
const OldKeysAdvice = "put the newest backup of the keystore back, or, if it is lost, replace these keys (oncegate keys rotate) or go on with them (oncegate keys accept)"

// AcceptKeys accepts an older keystore that was put back because the newer one is lost. It leaves a record, which the next start finds. why
// stands in the record's sealed evidence. No node may be running. The error is a fault.List where the configuration is unusable.
func AcceptKeys(ctx context.Context, path, why string, now func() time.Time) (err error) {
	if now == nil {
		now = time.Now
	}
	setup, err := config.LoadWithKeys(path, now())
	if err != nil {
		return err
	}
	db, keyring, err := setup.OpenStore(ctx, config.OpenOptions{Now: now})
	if err != nil {
		return fmt.Errorf("accept keys: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	keys := DescribeKeys(setup)
	digest, err := Digest(keys)
	var changes []any
	if err == nil {
		changes, err = adoptLost(ctx, db)
	}
	if err == nil {
		err = leaveRecord(ctx, setup, db, keyring, now, audit.Own{
			Operation: OperationRestore, RequestID: digest, Policy: setup.Policy.Digest(), Inputs: map[string]any{"keys": keys, "why": why}, Changes: changes,
		})
	}
	if err != nil {
		return fmt.Errorf("accept keys: %w", err)
	}
	return nil
}

// ErrTagsLost says that rows were authenticated before and have no tags now: somebody wants altered rows adopted (downgrade).
var ErrTagsLost = errors.New("the newest record of the log is of a program that authenticates rows, and the rows have lost their tags: the database was tampered with (operations, section 5)")

// BindsChanges reports whether the newest record, which is proven, is of a program that authenticates rows. A log that begins with the
// checkpoint of another one, and has no record yet, is of a recovery that was broken off: Recover adopts, or refuses.
func BindsChanges(ctx context.Context, log *tlog.Log) (bool, error) {
	size := log.Stats().Size
	if size == 0 {
		return false, nil
	}
	receipt, err := log.Receipt(ctx, size-1)
	if err != nil {
		return false, err
	}
	r, err := audit.ParseRecord(receipt.Record)
	return err != nil || r.V >= 3, nil
}

// AdoptOptions say how tables are adopted. The zero value is usable.
type AdoptOptions struct {
	Now      func() time.Time
	Progress func(done, total uint64) // rows; nil: nobody asks
}

// An Adopted is the result of an adoption.
type Adopted struct {
	Rows   map[string]int // of each table, trusted without proof
	Record uint64         // that states it
}

// Adopt migrates a database that was written before rows were authenticated with MACs (store.DB.Adopt), and leaves the record store.adopt.
// From then on a row without a valid tag is refused, and no older program can write here. No node may be running. A
// database that was adopted before is refused, even if its tags and sums were removed. The error is a fault.List where the
// configuration is unusable.
func Adopt(ctx context.Context, path string, o AdoptOptions) (done Adopted, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	setup, err := config.LoadWithKeys(path, o.Now())
	if err != nil {
		return done, err
	}
	if done, err = o.adopt(ctx, setup); err != nil {
		return done, fmt.Errorf("adopt tables: %w", err)
	}
	return done, nil
}

func (o AdoptOptions) adopt(ctx context.Context, s *config.Setup) (done Adopted, err error) {
	db, keyring, err := s.OpenStore(ctx, config.OpenOptions{Now: o.Now})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := s.LogConfig(db.Log(), nil)
	if err != nil {
		return done, err
	}
	log, err := tlog.Open(ctx, c)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, log.Close(ctx)) }()
	if adopted, err := db.Adopted(ctx); err != nil || !adopted {
		if binds, err := BindsChanges(ctx, log); err != nil || binds {
			return done, cmp.Or(err, ErrTagsLost)
		}
	}
	if done.Rows, err = db.Adopt(ctx, o.Progress); err != nil {
		return done, err
	}
	records, err := s.AuditConfig(log, db.Audit(), keyring, o.Now)
	if err != nil {
		return done, err
	}
	recorder, err := audit.NewRecorder(records)
	if err != nil {
		return done, err
	}
	receipt, err := recorder.RecordOwn(ctx, audit.Own{
		Operation: OperationAdopt, RequestID: s.Log.Origin, Policy: s.Policy.Digest(),
		Inputs: map[string]any{"rows": done.Rows}, Changes: []any{audit.Adopt{Rows: done.Rows}},
	})
	done.Record = receipt.Index
	return done, err
}

// adoptLost takes on the rows that were tagged under an envelope key that is lost, for the record that accepts the keys as they are.
func adoptLost(ctx context.Context, db *store.DB) (changes []any, err error) {
	lost, err := db.LostKeys(ctx)
	if err != nil || !lost {
		return nil, err
	}
	rows, err := db.AdoptLost(ctx, nil)
	if err != nil {
		return nil, err
	}
	return []any{audit.Adopt{Rows: rows}}, nil
}
