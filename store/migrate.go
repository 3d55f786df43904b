package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer says that the database was migrated by a later version of the program: run that one.
var ErrNewer = errors.New("the database's schema is newer than this program")

// migrate brings the schema to this program's version, one transaction for each step. There is no way back: restore a
// backup. A step that was applied is never edited; its digest is checked.
func (db *DB) migrate(ctx context.Context) error {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	// Several nodes may start at once: the row is inserted first and is what the second one waits for.
	for try := 0; ; try++ {
		err = db.migrateAll(ctx, len(files), func(n int) (string, string, error) {
			text, err := migrations.ReadFile("migrations/" + files[n-1].Name())
			return files[n-1].Name(), string(text), err
		})
		if err == nil || try == 5 || errors.Is(err, ErrNewer) || db.write.dialect.name == SQLite || sqlState(err) == "" {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (db *DB) migrateAll(ctx context.Context, newest int, step func(n int) (name, text string, err error)) error {
	_, err := db.write.db.ExecContext(ctx, db.write.dialect.ddl(
		"CREATE TABLE IF NOT EXISTS schema_steps (\n\tnumber BIGINT PRIMARY KEY,\n\tname TEXT NOT NULL,\n\tsha256 TEXT NOT NULL,\n\tapplied BIGINT NOT NULL\n);"))
	if err != nil {
		return fmt.Errorf("schema could not be read: %w", db.write.dialect.explain(err))
	}
	applied, err := db.appliedSteps(ctx)
	if err != nil {
		return err
	}
	if len(applied) > newest {
		return fmt.Errorf("%w: step %d, known are %d", ErrNewer, len(applied), newest)
	}
	for n := 1; n <= newest; n++ {
		name, text, err := step(n)
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(text))
		digest := hex.EncodeToString(sum[:])
		if n <= len(applied) {
			if applied[n-1] != digest {
				return fmt.Errorf("schema step %s differs from what was applied", name)
			}
			continue
		}
		if err := db.applyStep(ctx, n, name, digest, text); err != nil {
			return fmt.Errorf("schema step %s could not be applied: %w", name, err)
		}
	}
	return nil
}

// appliedSteps returns the digests of the steps applied, in order.
func (db *DB) appliedSteps(ctx context.Context) ([]string, error) {
	rows, err := db.write.db.QueryContext(ctx, "SELECT sha256 FROM schema_steps ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("schema could not be read: %w", db.write.dialect.explain(err))
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

func (db *DB) applyStep(ctx context.Context, n int, name, digest, text string) error {
	t, err := db.write.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	d := db.write.dialect
	if _, err := t.ExecContext(ctx, d.rebind("INSERT INTO schema_steps (number, name, sha256, applied) VALUES (?,?,?,?)"),
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
