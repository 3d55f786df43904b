package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"oncegate/audit"
	"oncegate/audit/audittest"
	"oncegate/certs/envelope"
	"oncegate/register/registertest"
	"oncegate/store/sqldb"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

const origin = "store.example/log"

// An engine is one of the databases that every test runs on. fresh returns the configuration of a new, empty database.
type engine struct {
	name  string
	fresh func(t testing.TB) Config
}

// engines are SQLite and, if ONCEGATE_TEST_POSTGRES holds a connection URL, PostgreSQL. Each test there has a schema of its own.
func engines() []engine {
	all := []engine{{SQLite, freshSQLite}}
	if dsn := os.Getenv("ONCEGATE_TEST_POSTGRES"); dsn != "" {
		all = append(all, engine{Postgres, func(t testing.TB) Config { return freshPostgres(t, dsn) }})
	}
	return all
}

func onEach(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

func freshSQLite(t testing.TB) Config {
	return withKeys(Config{Path: filepath.Join(t.TempDir(), "once gate%?#.db"), Log: origin})
}

func freshPostgres(t testing.TB, dsn string) Config {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 6)
	rand.Read(random)
	schema := "test_" + hex.EncodeToString(random)
	if _, err := db.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("ONCEGATE_TEST_POSTGRES is no URL")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return withKeys(Config{Driver: Postgres, DSN: u.String(), Log: origin})
}

// withKeys adds keys that are the same in every process.
func withKeys(c Config) Config {
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "test-1", Secret: [32]byte{1}})
	if err != nil {
		panic(err)
	}
	c.Sealer = ring
	c.Digest = func(data []byte) []byte {
		h := hmac.New(sha256.New, []byte("test key"))
		h.Write(data)
		return h.Sum(nil)
	}
	return c
}

func mustOpen(t testing.TB, c Config) *DB {
	t.Helper()
	return mustOpenWith(t, c, nil)
}

func mustOpenWith(t testing.TB, c Config, wrap sqldb.Wrapper) *DB {
	t.Helper()
	db, err := open(context.Background(), c, wrap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// A bench is a store with a running log over it.
type bench struct {
	db   *DB
	log  *tlog.Log
	keys tlogtest.Keys
}

func newBench(t testing.TB, e engine) *bench {
	t.Helper()
	return benchOn(t, mustOpen(t, e.fresh(t)))
}

func benchOn(t testing.TB, db *DB) *bench {
	t.Helper()
	keys := tlogtest.NewKeys(t, origin)
	config := keys.Config(db.Log())
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	log, err := tlog.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close(context.Background()) })
	return &bench{db, log, keys}
}

func (b *bench) append(ctx context.Context, e audit.Entry) (uint64, error) {
	r, err := b.log.Append(ctx, e.Record, e)
	return r.Index, err
}

// change commits a record with these changes; the error is the entry's refusal.
func (b *bench) change(ctx context.Context, changes ...any) error {
	random := make([]byte, 8)
	rand.Read(random)
	_, err := b.append(ctx, audit.Entry{Record: fmt.Appendf(nil, `{"id":"%x"}`, random), Changes: changes})
	return err
}

func TestLogStorage(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		open := func(t *testing.T) tlog.Storage { return mustOpen(t, e.fresh(t)).Log() }
		tlogtest.TestStorage(t, open)
		tlogtest.TestClaims(t, open, func(key string) any {
			return audit.Entry{Changes: []any{audit.Claim{System: "window", JTI: key}}}
		}, audit.ErrReplayed)
	})
}

func TestAuditStorage(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		audittest.Test(t, func(t *testing.T) audittest.Bench {
			b := newBench(t, e)
			return audittest.Bench{Storage: b.db.Audit(), Append: b.append}
		})
	})
}

func TestRegisterStorage(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		registertest.Test(t, func(t *testing.T) registertest.Bench {
			b := newBench(t, e)
			return registertest.Bench{Storage: b.db.Register(), Commit: b.change}
		})
	})
}
