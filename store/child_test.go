package store

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// TestMain lets the test binary play other processes: see child.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("ONCEGATE_STORE_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "hold":
		err = hold(os.Args[1])
	case "append":
		err = appendForever(os.Args[1], os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hold keeps a database open until its standard input ends.
func hold(path string) error {
	db, err := Open(context.Background(), withKeys(Config{Path: path, Log: origin}))
	if err != nil {
		return err
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	return db.Close()
}

// appendForever registers cases from many writers until it is killed, and prints "index jti" for each that was answered.
// driver is SQLite or Postgres, where the path or connection string.
func appendForever(driver, where string) error {
	ctx := context.Background()
	db, err := Open(ctx, withKeys(Config{Driver: driver, Path: where, DSN: where, Log: origin}))
	if err != nil {
		return err
	}
	log, err := tlog.Open(ctx, fixedKeys(db))
	if err != nil {
		return err
	}
	fmt.Println("open")
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for err := error(nil); err == nil; {
				jti := timeOrdered()
				var r tlog.Receipt
				r, err = log.Append(ctx, []byte("record "+jti), audit.Entry{
					Sealed: []audit.Sealed{{Kind: "request", Digest: []byte(jti), Blob: make([]byte, 500)}},
					Changes: []any{
						audit.Claim{System: "window", JTI: jti, Exp: accepted},
						cases.Register{Case: aCase("C-" + jti)},
					},
				})
				mu.Lock()
				if err == nil {
					fmt.Println(r.Index, jti) // one write: a line is whole or not there
				} else {
					fmt.Fprintln(os.Stderr, err)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return nil
}

// A fixedSigner has the same key in every process.
type fixedSigner struct {
	kind byte
	key  ed25519.PrivateKey
}

func newFixedSigner(kind byte) fixedSigner {
	seed := sha256.Sum256([]byte{kind})
	return fixedSigner{kind, ed25519.NewKeyFromSeed(seed[:])}
}

func (s fixedSigner) Name() string { return origin }

func (s fixedSigner) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(origin+"\n\xff"), s.kind))
	return binary.BigEndian.Uint32(sum[:])
}

func (s fixedSigner) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return ed25519.Sign(s.key, msg), nil
}

type fixedVerifier struct{ fixedSigner }

func (v fixedVerifier) Verify(msg, sig []byte) bool {
	return ed25519.Verify(v.key.Public().(ed25519.PublicKey), msg, sig)
}

func fixedKeys(db *DB) tlog.Config {
	return tlog.Config{Origin: origin, Storage: db.Log(), NewSM3: tlogtest.NewHash, SM2: newFixedSigner(1), Ed25519: newFixedSigner(2),
		Own: []note.Verifier{fixedVerifier{newFixedSigner(2)}}}
}

func fixedTrust() tlog.Trust {
	return tlog.Trust{Origin: origin, SM2: fixedVerifier{newFixedSigner(1)}, Ed25519: fixedVerifier{newFixedSigner(2)}, NewSM3: tlogtest.NewHash}
}
