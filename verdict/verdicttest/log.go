// Package verdicttest makes logs for tests of verification and of the client: real records under real signatures, in memory.
package verdicttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/certs/certstest"
	"oncegate/certs/envelope"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A Log is a log of a world, open as long as the test runs, with what verifies it.
type Log struct {
	*tlog.Log
	Recorder *audit.Recorder // its clock stands at certstest.Epoch
	SM2      *ecdsa.PublicKey
	VKey     string // of its Ed25519 line
}

// NewLog creates a log under an origin, signed with the world's keys "log-1".
func NewLog(tb testing.TB, world *certstest.World, origin string) Log {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	sm2, ed := world.Signer("log-1"), world.Ed25519("log-1")
	public := ed.Public().(ed25519.PublicKey)
	config := tlog.Config{Origin: origin, Storage: new(tlogtest.Memory), NewSM3: sm.New, Logger: slog.New(slog.DiscardHandler)}
	var err error
	config.SM2, err = lognote.SM2NoteSigner(origin, sm2)
	must(err)
	config.Ed25519, err = lognote.Ed25519NoteSigner(origin, ed)
	must(err)
	config.Own, err = lognote.Ed25519NoteVerifiers(origin, public)
	must(err)
	must(tlog.Create(context.Background(), config))
	l := Log{SM2: sm2.Public()}
	l.Log, err = tlog.Open(context.Background(), config)
	must(err)
	tb.Cleanup(func() { l.Close(context.Background()) })
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "k1"})
	must(err)
	l.Recorder, err = audit.NewRecorder(audit.Config{
		Self: "gateway", Log: leaves{l.Log}, Sealer: ring, NewSM3: sm.New, IndexKeys: [][]byte{make([]byte, 32)},
		Now: func() time.Time { return certstest.Epoch },
	})
	must(err)
	l.VKey, err = lognote.MarshalVKey(origin, public)
	must(err)
	return l
}

// leaves appends records without what commits beside them: the memory storage knows no such changes.
type leaves struct{ *tlog.Log }

func (l leaves) Append(ctx context.Context, leaf []byte, _ any) (tlog.Receipt, error) {
	return l.Log.Append(ctx, leaf, nil)
}
