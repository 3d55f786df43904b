package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"oncegate/certs/envelope"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/store"
	"oncegate/tlog"
)

const origin = "side-by-side.example/log"

// ours is a log of Oncegate: the leaf alone, durable, in both trees, with its receipt.
type ours struct {
	db  *store.DB
	log *tlog.Log
}

func openOncegate(ctx context.Context, dir string) (log, error) {
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "side", Secret: sm.Digest([]byte(rand.Text()))})
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "log.db"), Log: origin, Sealer: ring, Digest: func(b []byte) []byte { d := sm.Digest(b); return d[:] }})
	if err != nil {
		return nil, err
	}
	c := tlog.Config{Origin: origin, Storage: db.Log(), NewSM3: sm.New, Mark: filepath.Join(dir, "mark")}
	key, err := sm.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	signer, err := sm.NewSigner("side", key, nil)
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	if c.SM2, err = lognote.SM2NoteSigner(origin, signer); err != nil {
		return nil, err
	}
	if c.Ed25519, err = lognote.Ed25519NoteSigner(origin, private); err != nil {
		return nil, err
	}
	if c.Own, err = lognote.Ed25519NoteVerifiers(origin, public); err != nil {
		return nil, err
	}
	if err := tlog.Create(ctx, c); err != nil {
		return nil, err
	}
	l, err := tlog.Open(ctx, c)
	return &ours{db, l}, err
}

func (o *ours) append(ctx context.Context, leaf []byte) error {
	_, err := o.log.Append(ctx, leaf, nil)
	return err
}

func (o *ours) close() error { return errors.Join(o.log.Close(context.Background()), o.db.Close()) }

// theirs is a log of Tessera over files, set to answer as soon as it may: its shortest interval between checkpoints.
type theirs struct {
	appender *tessera.Appender
	awaiter  *tessera.PublicationAwaiter
	shutdown func(context.Context) error
	cancel   context.CancelFunc
}

func openTessera(_ context.Context, dir string) (log, error) {
	ctx, cancel := context.WithCancel(context.Background())
	private, _, err := note.GenerateKey(nil, origin)
	if err != nil {
		cancel()
		return nil, err
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		cancel()
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		cancel()
		return nil, err
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithCheckpointInterval(100*time.Millisecond).WithBatching(512, 5*time.Millisecond)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		cancel()
		return nil, err
	}
	return &theirs{appender, tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 2*time.Millisecond), shutdown, cancel}, nil
}

func (t *theirs) append(ctx context.Context, leaf []byte) error {
	_, _, err := t.awaiter.Await(ctx, t.appender.Add(ctx, tessera.NewEntry(leaf)))
	return err
}

func (t *theirs) close() error {
	defer t.cancel()
	return t.shutdown(context.Background())
}
