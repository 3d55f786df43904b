package install

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/store"
	"oncegate/tlog"
)

// Operations of the records that a gateway leaves about itself, besides "policy.activate".
const (
	OperationConfig  = "config.activate" // a configuration came in force
	OperationKeys    = "keys.change"     // other keys came in force
	OperationCreate  = "log.create"      // the first record of a log
	OperationRecover = "log.recover"     // the first record of a log that goes on after an old backup was restored
	OperationRestore = "keys.restore"    // an older keystore was accepted
	OperationAdopt   = "store.adopt"     // tables of before their rows were authenticated were taken on
)

// KeyOperations are those of the records that list the keys in force.
var KeyOperations = []string{OperationKeys, OperationCreate, OperationRecover, OperationRestore}

// A KeyRecord is a key as the records of the keys list it.
type KeyRecord struct {
	ID    string `json:"id"`
	Usage string `json:"usage"`
	Owner string `json:"owner"`
	State string `json:"state"`
}

// Registered is the state of a caller's key in a KeyRecord.
const Registered = "registered"

// DescribeKeys lists our keys and those of callers and identity services, without any secret.
func DescribeKeys(s *config.Setup) (list []KeyRecord) {
	for _, k := range s.Keys.List() {
		list = append(list, KeyRecord{k.ID, k.Usage, k.Owner, string(k.State)})
	}
	for _, id := range slices.Sorted(maps.Keys(s.Callers)) {
		for _, kid := range slices.Sorted(maps.Keys(s.Callers[id].Keys)) {
			fingerprint := sm.DigestB64(sm.MarshalPoint(s.Callers[id].Keys[kid].Public))
			list = append(list, KeyRecord{kid + "/" + fingerprint, "call", id, Registered})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Vouchers)) {
		for _, kid := range slices.Sorted(maps.Keys(s.Vouchers[id].Keys)) {
			fingerprint := sm.DigestB64(sm.MarshalPoint(s.Vouchers[id].Keys[kid].Public))
			list = append(list, KeyRecord{kid + "/" + fingerprint, "attest", id, Registered})
		}
	}
	return list
}

// Digest names what a record says: two configurations with the same keys have the same digest of their KeyRecords.
func Digest(v any) (string, error) {
	text, err := canonical.Marshal(v)
	if err != nil {
		return "", err
	}
	return sm.DigestB64(text), nil
}

// ParseKeys are the keys that the inputs of a record of the keys list.
func ParseKeys(list jsontext.Value) (keys []KeyRecord, err error) {
	if list.Kind() == jsontext.KindBeginObject {
		var whole struct {
			Keys jsontext.Value `json:"keys"`
		}
		if err := json.Unmarshal(list, &whole); err != nil {
			return nil, err
		}
		list = whole.Keys
	}
	err = json.Unmarshal(list, &keys)
	return keys, err
}

// leaveRecord leaves a record of the gateway's own in a log that no node has open.
func leaveRecord(ctx context.Context, s *config.Setup, db *store.DB, keyring *config.Keyring, now func() time.Time, own audit.Own) error {
	c, err := s.LogConfig(db.Log(), nil)
	if err != nil {
		return err
	}
	log, err := tlog.Open(ctx, c)
	if err != nil {
		return err
	}
	records, err := s.AuditConfig(log, db.Audit(), keyring, now)
	if err == nil {
		var recorder *audit.Recorder
		if recorder, err = audit.NewRecorder(records); err == nil {
			_, err = recorder.RecordOwn(ctx, own)
		}
	}
	return errors.Join(err, log.Close(ctx))
}
