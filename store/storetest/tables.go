package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver

	"oncegate/tlog"
)

// The rows of the tables, as package store's migrations have them.
var (
	recordColumns = []string{"pos", "hashes", "time", "erasable", "leaf", "search", "evidence", "changes", "mac"}
	tileColumns   = []string{"log", "tree", "level", "idx", "hashes"}
	claimColumns  = []string{"jti", "system", "expires", "pos", "mac"}
	hitColumns    = []string{"pos", "n", "uses", "time", "system", "operation", "operator", "matter", "case_no", "material", "need", "license_type", "decision", "holder", "mac"}
)

// rows turns records into rows.
type rows struct {
	History
	number int64 // of the log

	checkpoint string // that the history begins with
	sums       []byte // sealed beside it
}

func (r rows) pos(index uint64) int64 { return r.number<<40 + int64(index) }

func (r rows) of(m made, first uint64) (records, tiles, claims [][]any) {
	for i, x := range m.records {
		pos := r.pos(m.first + uint64(i))
		both := append(append(make([]byte, 0, 64), x.hash.SM3[:]...), x.hash.SHA256[:]...)
		at := x.index.Time.UnixMicro()
		records = append(records, []any{pos, both, at, int64(1), x.leaf, x.search, x.evidence, "", r.Proofs.Tag("records", pos, at, x.search, "")})
		if r.claimed(m.first + uint64(i) - first) {
			claims = append(claims, r.tagged("claims", x.jti, x.index.System, x.index.Time.Add(5*time.Minute).UnixMicro(), pos))
		}
	}
	for _, t := range m.tiles {
		tiles = append(tiles, []any{r.number, int64(t.Tree), int64(t.Level), int64(t.Index), t.Hashes})
	}
	return records, tiles, claims
}

func (r rows) ofSearch(m made) (hits [][]any) {
	for i, x := range m.records {
		u := x.index.Uses[0]
		hits = append(hits, r.tagged("hits", r.pos(m.first+uint64(i)), int64(0), int64(1), x.index.Time.UnixMicro(), x.index.System, x.index.Operation, "",
			u.Matter, u.Case, u.Material, int64(u.Need), u.LicenseType, u.Decision, u.Holder))
	}
	return hits
}

// tagged is a row whose last column is the tag over all others.
func (r rows) tagged(table string, columns ...any) []any {
	return append(columns, r.Proofs.Tag(table, columns...))
}

// projection is the row of a projection that covers the log, and ends with it.
func (r rows) projection(size uint64, last []byte) []any {
	return r.tagged("projection", r.number, time.Now().UnixMicro(), int64(size), last)
}

// A sqliteSink writes both files with neither log nor syncs: a history that breaks off is thrown away.
type sqliteSink struct {
	rows
	main, search *sql.DB
	indexes      []string // of the projection, made again at the end
}

func openSQLite(ctx context.Context, h History) (sink, error) {
	s := &sqliteSink{rows: rows{History: h}}
	for _, f := range []struct {
		db   **sql.DB
		path string
	}{{&s.main, h.Path}, {&s.search, h.Path + "-search"}} {
		source := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: f.path}).EscapedPath(), RawQuery: url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)", "cache_size(-65536)", "locking_mode(EXCLUSIVE)"}}.Encode()}).String()
		db, err := sql.Open("sqlite", source)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		db.SetMaxOpenConns(1)
		*f.db = db
	}
	return s, nil
}

func (s *sqliteSink) before(ctx context.Context, leaf func([]byte) error) error {
	var size, covered int64
	if err := s.main.QueryRowContext(ctx, "SELECT number, size, checkpoint, sums FROM logs WHERE origin = ?", s.Log).Scan(&s.number, &size, &s.checkpoint, &s.sums); err != nil {
		return fmt.Errorf("log %s: %w", s.Log, err)
	}
	if err := s.search.QueryRowContext(ctx, "SELECT coalesce(max(covered), 0) FROM projection WHERE log = ?", s.number).Scan(&covered); err != nil || covered != size {
		return errors.Join(err, errBehind)
	}
	list, err := s.main.QueryContext(ctx, "SELECT hashes FROM records WHERE pos >= ? AND pos < ? ORDER BY pos", s.pos(0), s.pos(uint64(size)))
	if err != nil {
		return err
	}
	defer list.Close()
	for list.Next() {
		var both []byte
		if err := list.Scan(&both); err != nil {
			return err
		}
		if err := leaf(both); err != nil {
			return err
		}
	}
	return errors.Join(list.Err(), list.Close(), s.dropIndexes(ctx))
}

// newer puts a projection's row in the place of the one that is there.
const newer = "ON CONFLICT (log) DO UPDATE SET made = excluded.made, covered = excluded.covered, hashes = excluded.hashes, mac = excluded.mac"

var errBehind = errors.New("the projection does not cover the log: follow it first")

func (s *sqliteSink) dropIndexes(ctx context.Context) error {
	list, err := s.search.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'hits' AND sql IS NOT NULL")
	if err != nil {
		return err
	}
	defer list.Close()
	var names []string
	for list.Next() {
		var name, text string
		if err := list.Scan(&name, &text); err != nil {
			return err
		}
		names, s.indexes = append(names, name), append(s.indexes, text)
	}
	if err := errors.Join(list.Err(), list.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := s.search.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteSink) close() (err error) {
	for _, db := range []*sql.DB{s.main, s.search} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// An inserter inserts rows of one table, some in a statement.
type inserter struct {
	head   string
	width  int
	tx     *sql.Tx
	stmt   *sql.Stmt
	unsent []any
}

// perStatement is how many rows one statement has.
const perStatement = 64

func newInserter(ctx context.Context, t *sql.Tx, table string, columns []string) (*inserter, error) {
	i := &inserter{head: "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES ", width: len(columns), tx: t}
	var err error
	i.stmt, err = t.PrepareContext(ctx, i.text(perStatement))
	return i, err
}

func (i *inserter) text(rows int) string {
	row := "(" + strings.Repeat("?,", i.width-1) + "?)"
	return i.head + strings.Repeat(row+",", rows-1) + row
}

func (i *inserter) add(ctx context.Context, list [][]any) error {
	for _, row := range list {
		if i.unsent = append(i.unsent, row...); len(i.unsent) == perStatement*i.width {
			if _, err := i.stmt.ExecContext(ctx, i.unsent...); err != nil {
				return err
			}
			i.unsent = i.unsent[:0]
		}
	}
	return nil
}

func (i *inserter) end(ctx context.Context) error {
	if len(i.unsent) == 0 {
		return nil
	}
	_, err := i.tx.ExecContext(ctx, i.text(len(i.unsent)/i.width), i.unsent...)
	return err
}

// insert takes all chunks into tables, in one transaction.
func insert(ctx context.Context, db *sql.DB, tables []string, columns [][]string, all <-chan made, split func(made) [][][]any) error {
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	var to []*inserter
	for i, table := range tables {
		in, err := newInserter(ctx, t, table, columns[i])
		if err != nil {
			return err
		}
		to = append(to, in)
	}
	for m := range all {
		for i, list := range split(m) {
			if err := to[i].add(ctx, list); err != nil {
				return err
			}
		}
	}
	for _, in := range to {
		if err := in.end(ctx); err != nil {
			return err
		}
	}
	return t.Commit()
}

func (s *sqliteSink) records(ctx context.Context, all <-chan made, first uint64) error {
	return insert(ctx, s.main, []string{"records", "tiles", "claims"}, [][]string{recordColumns, tileColumns, claimColumns}, all, func(m made) [][][]any {
		records, tiles, claims := s.of(m, first)
		return [][][]any{records, tiles, claims}
	})
}

func (s *sqliteSink) hits(ctx context.Context, all <-chan made) error {
	err := insert(ctx, s.search, []string{"hits"}, [][]string{hitColumns}, all, func(m made) [][][]any { return [][][]any{s.ofSearch(m)} })
	for _, text := range s.indexes {
		if err == nil {
			_, err = s.search.ExecContext(ctx, text)
		}
	}
	return err
}

func (s *sqliteSink) finish(ctx context.Context, head tlog.Head, last []byte) error {
	sums, err := s.Proofs.Sums(s.sums, s.checkpoint, head.Checkpoint)
	if err != nil {
		return err
	}
	if _, err := s.search.ExecContext(ctx, "INSERT INTO projection (log, made, covered, hashes, mac) VALUES (?, ?, ?, ?, ?) "+newer, s.projection(head.Size, last)...); err != nil {
		return err
	}
	if _, err := s.main.ExecContext(ctx, "UPDATE logs SET size = ?, sm3 = ?, sha256 = ?, checkpoint = ?, batch = ?, sums = ? WHERE number = ?",
		int64(head.Size), head.SM3, head.SHA256, head.Checkpoint, head.Batch[:], sums, s.number); err != nil {
		return err
	}
	for i, db := range []*sql.DB{s.main, s.search} {
		if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
			return err
		}
		f, err := os.Open(s.Path + []string{"", "-search"}[i])
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil { // nothing is left for the disk to do while the test measures
			return err
		}
	}
	return nil
}

// A postgresSink writes by COPY over two connections.
type postgresSink struct {
	rows
	main, search *pgx.Conn
	indexes      []string // of the projection, made again at the end
}

func openPostgres(ctx context.Context, h History) (_ sink, err error) {
	s := &postgresSink{rows: rows{History: h}}
	for _, c := range []**pgx.Conn{&s.main, &s.search} {
		if *c, err = pgx.Connect(ctx, h.DSN); err == nil {
			_, err = (*c).Exec(ctx, "SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
		}
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *postgresSink) before(ctx context.Context, leaf func([]byte) error) error {
	var size, covered int64
	if err := s.main.QueryRow(ctx, "SELECT number, size, checkpoint, sums FROM logs WHERE origin = $1", s.Log).Scan(&s.number, &size, &s.checkpoint, &s.sums); err != nil {
		return fmt.Errorf("log %s: %w", s.Log, err)
	}
	if err := s.search.QueryRow(ctx, "SELECT coalesce(max(covered), 0) FROM projection WHERE log = $1", s.number).Scan(&covered); err != nil || covered != size {
		return errors.Join(err, errBehind)
	}
	list, err := s.main.Query(ctx, "SELECT hashes FROM records WHERE pos >= $1 AND pos < $2 ORDER BY pos", s.pos(0), s.pos(uint64(size)))
	if err != nil {
		return err
	}
	var both []byte
	if _, err := pgx.ForEachRow(list, []any{&both}, func() error { return leaf(both) }); err != nil {
		return err
	}
	return s.dropIndexes(ctx)
}

func (s *postgresSink) dropIndexes(ctx context.Context) error {
	list, err := s.search.Query(ctx, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'hits' AND indexname <> 'hits_pkey'")
	if err != nil {
		return err
	}
	var names []string
	var name, text string
	_, err = pgx.ForEachRow(list, []any{&name, &text}, func() error {
		names, s.indexes = append(names, name), append(s.indexes, text)
		return nil
	})
	for _, name := range names {
		if err == nil {
			_, err = s.search.Exec(ctx, "DROP INDEX "+name)
		}
	}
	return err
}

func (s *postgresSink) close() (err error) {
	for _, c := range []*pgx.Conn{s.main, s.search} {
		if c != nil {
			err = errors.Join(err, c.Close(context.Background()))
		}
	}
	return err
}

// copyRows copies many rows at once: a COPY for each chunk would cost more than its rows.
func copyRows(ctx context.Context, c *pgx.Conn, table string, columns []string, list [][]any) error {
	if len(list) == 0 {
		return nil
	}
	if _, err := c.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(list)); err != nil {
		return fmt.Errorf("copy into %s: %w", table, err)
	}
	return nil
}

const copied = 16 * chunk // rows

func (s *postgresSink) records(ctx context.Context, all <-chan made, first uint64) error {
	var records, tiles, claims [][]any
	send := func() error {
		err := errors.Join(copyRows(ctx, s.main, "records", recordColumns, records), copyRows(ctx, s.main, "tiles", tileColumns, tiles), copyRows(ctx, s.main, "claims", claimColumns, claims))
		records, tiles, claims = nil, nil, nil
		return err
	}
	for m := range all {
		r, t, c := s.of(m, first)
		records, tiles, claims = append(records, r...), append(tiles, t...), append(claims, c...)
		if len(records) >= copied {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

func (s *postgresSink) hits(ctx context.Context, all <-chan made) error {
	var hits [][]any
	send := func() error {
		err := copyRows(ctx, s.search, "hits", hitColumns, hits)
		hits = nil
		return err
	}
	for m := range all {
		if hits = append(hits, s.ofSearch(m)...); len(hits) >= copied {
			if err := send(); err != nil {
				return err
			}
		}
	}
	err := send()
	for _, text := range s.indexes {
		if err == nil {
			_, err = s.search.Exec(ctx, text)
		}
	}
	return err
}

func (s *postgresSink) finish(ctx context.Context, head tlog.Head, last []byte) error {
	sums, err := s.Proofs.Sums(s.sums, s.checkpoint, head.Checkpoint)
	if err == nil {
		_, err = s.search.Exec(ctx, "INSERT INTO projection (log, made, covered, hashes, mac) VALUES ($1, $2, $3, $4, $5) "+newer, s.projection(head.Size, last)...)
	}
	if err == nil {
		_, err = s.main.Exec(ctx, "UPDATE logs SET size = $1, sm3 = $2, sha256 = $3, checkpoint = $4, batch = $5, sums = $6 WHERE number = $7",
			int64(head.Size), head.SM3, head.SHA256, head.Checkpoint, head.Batch[:], sums, s.number)
	}
	for _, table := range []string{"records", "hits", "claims", "tiles", "logs"} {
		if err == nil {
			_, err = s.main.Exec(ctx, "ANALYZE "+table)
		}
	}
	return err
}
