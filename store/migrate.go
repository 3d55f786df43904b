package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

//go:embed migrations/*.sql migrations/search/*.sql
var migrations embed.FS

// ErrNewer says that the database was migrated by a later version of the program: run that one.
var ErrNewer = errors.New("the database's schema is newer than this program")

var errOtherStep = errors.New("it differs from what was applied")

// A schema is a folder of steps, and the table in which they are noted once they are applied.
type schema struct{ folder, table string }

var (
	mainSchema   = schema{"migrations", "schema_steps"}
	searchSchema = schema{"migrations/search", "search_steps"} // PostgreSQL has both in one database
)

// migrate brings a schema to this program's version, one transaction for each step. There is no way back: restore a
// backup. A step that was applied is never edited; its digest is checked.
func (db *DB) migrate(ctx context.Context, p *pool, s schema) error {
	files, err := fs.Glob(migrations, s.folder+"/*.sql")
	if err != nil {
		return err
	}
	// Several nodes may start at once: the row is inserted first and is what the second one waits for.
	for try := 0; ; try++ {
		err = db.migrateAll(ctx, p, s, files)
		if err == nil || try == 5 || errors.Is(err, ErrNewer) || p.dialect.name == SQLite || sqlState(err) == "" {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (db *DB) migrateAll(ctx context.Context, p *pool, s schema, files []string) error {
	_, err := p.db.ExecContext(ctx, p.dialect.ddl(
		"CREATE TABLE IF NOT EXISTS "+s.table+" (\n\tnumber BIGINT PRIMARY KEY,\n\tname TEXT NOT NULL,\n\tsha256 TEXT NOT NULL,\n\tapplied BIGINT NOT NULL\n);"))
	if err != nil {
		return fmt.Errorf("schema could not be read: %w", p.dialect.explain(err))
	}
	applied, err := s.applied(ctx, p)
	if err != nil {
		return err
	}
	if len(applied) > len(files) {
		return fmt.Errorf("%w: step %d, known are %d", ErrNewer, len(applied), len(files))
	}
	for i, file := range files {
		text, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		name, sum := path.Base(file), sha256.Sum256(text)
		digest := hex.EncodeToString(sum[:])
		if i < len(applied) {
			if applied[i] != digest {
				return fmt.Errorf("schema step %s: %w", name, errOtherStep)
			}
			continue
		}
		if err := db.applyStep(ctx, p, s, i+1, name, digest, string(text)); err != nil {
			return fmt.Errorf("schema step %s could not be applied: %w", name, err)
		}
	}
	return nil
}

// applied returns the digests of the steps applied, in order.
func (s schema) applied(ctx context.Context, p *pool) ([]string, error) {
	rows, err := p.db.QueryContext(ctx, "SELECT sha256 FROM "+s.table+" ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("schema could not be read: %w", p.dialect.explain(err))
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func (db *DB) applyStep(ctx context.Context, p *pool, s schema, n int, name, digest, text string) error {
	t, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	d := p.dialect
	if _, err := t.ExecContext(ctx, d.rebind("INSERT INTO "+s.table+" (number, name, sha256, applied) VALUES (?,?,?,?)"),
		n, name, digest, micros(db.config.Now())); err != nil {
		return err
	}
	for stmt := range strings.SplitSeq(d.ddl(text), ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if _, err := t.ExecContext(ctx, stmt); err != nil {
			return d.explain(err)
		}
	}
	return t.Commit()
}
