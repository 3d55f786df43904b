package store

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A narrow driver gives every connection a limit of pages.
type narrow struct {
	driver.Connector
	pages atomic.Int64
}

func (n *narrow) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := n.Connector.Connect(ctx)
	if err == nil && n.pages.Load() > 0 {
		_, err = c.(driver.ExecerContext).ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", n.pages.Load()), nil)
	}
	return c, err
}

// TestFull fills the database: the batch fails as a whole, with a clear error, and the next one works when there is room again.
func TestFull(t *testing.T) {
	n := &narrow{}
	db := mustOpenWith(t, freshSQLite(t), func(c driver.Connector, writes bool) driver.Connector {
		if !writes || n.Connector != nil {
			return c
		}
		n.Connector = c
		return n
	})
	b := benchOn(t, db)
	mustChange(t, b, cases.Register{Case: aCase("C-1")})
	var pages int
	if err := db.write.DB().QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		n.pages.Store(int64(pages))
		conn, err := db.write.DB().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	limit(pages)
	big := audit.Entry{Record: []byte("big"), Sealed: []audit.Sealed{{Kind: "request", Blob: make([]byte, 1<<20)}},
		Changes: []any{audit.Claim{System: "window", JTI: "j-1", Exp: accepted}, cases.Register{Case: aCase("C-2")}}}
	batch := tlog.Batch{ID: [16]byte{1}, Integrate: accept, Entries: []tlog.Entry{{Leaf: big.Record, Attached: big}}}
	_, err := db.Log().Commit(t.Context(), batch)
	if err == nil || errors.Is(err, tlog.ErrUnknown) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("error is %v", err)
	}
	if _, err := db.Cases().Case(t.Context(), "C-2"); err == nil {
		t.Error("half of the batch is there")
	}
	if _, err := b.append(t.Context(), big); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("log says %v", err)
	}
	limit(1 << 20)
	if _, err := b.append(t.Context(), big); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	tlogtest.CheckLog(t, db.Log(), b.keys.Trust)
}

// TestReadOnly refuses a folder that cannot be written, with a clear error. Root may write everywhere, so the file is
// made unwritable by naming a folder that is a file.
func TestReadOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "x.db"), filepath.Join(t.TempDir(), "no", "x.db"), t.TempDir()} {
		if _, err := Open(t.Context(), withKeys(Config{Path: path, Log: origin})); err == nil {
			t.Error("a database was opened where none can be")
		}
	}
	garbage := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), withKeys(Config{Path: garbage, Log: origin})); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("error is %v", err)
	}
}

// files returns all bytes of a database: the file and its write-ahead log.
func files(t *testing.T, path string) []byte {
	t.Helper()
	var all []byte
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// TestSealed scans the files for people: parties and holders are nowhere in plain, and a sealed value opens only in its row.
func TestSealed(t *testing.T) {
	c := freshSQLite(t)
	db := mustOpen(t, c)
	b := benchOn(t, db)
	plain := "made-up-person-1"
	party := aCase("C-1")
	party.Parties[0].Holder.Code = plain
	mustChange(t, b, cases.Register{Case: party}, cases.Register{Case: aCase("C-2")},
		cases.Give{Consent: aConsent("k-1", plain, "window")}, cases.Give{Consent: aConsent("k-2", plain, "window")})
	if bytes.Contains(files(t, c.Path), []byte(plain)) {
		t.Error("a person's code stands in the file")
	}
	for _, move := range []string{
		"UPDATE cases SET parties = (SELECT parties FROM cases WHERE no = 'C-1') WHERE no = 'C-2'",
		"UPDATE consents SET sealed_holder = (SELECT sealed_holder FROM consents WHERE id = 'k-1') WHERE id = 'k-2'",
		"UPDATE consents SET sealed_holder = (SELECT parties FROM cases WHERE no = 'C-1') WHERE id = 'k-1'",
	} {
		if _, err := db.write.DB().Exec(move); err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func() error{
		"parties of another case":     func() error { _, err := db.Cases().Case(t.Context(), "C-2"); return err },
		"holder of another consent":   func() error { _, err := db.Cases().Consent(t.Context(), "k-2"); return err },
		"holder from a case's column": func() error { _, err := db.Cases().Consent(t.Context(), "k-1"); return err },
	} {
		if err := read(); err == nil || strings.Contains(err.Error(), plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErasedBytes proves that what was erased is not in the files any more.
func TestErasedBytes(t *testing.T) {
	c := freshSQLite(t)
	db := mustOpen(t, c)
	b := benchOn(t, db)
	secret := bytes.Repeat([]byte("sealed-request-"), 2000)
	index, err := b.append(t.Context(), audit.Entry{Record: []byte("record"), Sealed: []audit.Sealed{{Kind: "request", Blob: secret}, {Kind: "inputs", Blob: []byte("inputs")}}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(files(t, c.Path), secret[:60]) {
		t.Fatal("the blob was never in the files")
	}
	if err := db.Audit().Erase(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(files(t, c.Path), secret[:60]) {
		t.Error("the erased blob still stands in the files")
	}
}

func FuzzEvidence(f *testing.F) {
	for _, parts := range [][]audit.Sealed{nil, {{Kind: "request", Digest: []byte{1}, Blob: []byte{}}}, {{Kind: "person"}, {Kind: "inputs", Blob: []byte("x")}}} {
		column, _, err := packEvidence(parts)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(column)
	}
	f.Add([]byte{1, 'a', 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, column []byte) {
		parts, err := unpackEvidence(column)
		if err != nil {
			return
		}
		again, _, err := packEvidence(parts)
		if err != nil || !bytes.Equal(again, column) {
			t.Errorf("%x became %x, %v", column, again, err)
		}
	})
}
