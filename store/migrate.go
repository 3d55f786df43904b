package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"oncegate/canonical"
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
	return db.migrateTo(ctx, p, s, files)
}

// migrateTo applies the steps in files. Several nodes may start at once: what is missing is looked for again under a lock.
func (db *DB) migrateTo(ctx context.Context, p *pool, s schema, files []string) error {
	if err := prepareSteps(ctx, p, s); err != nil {
		return fmt.Errorf("schema could not be read: %w", p.dialect.explain(err))
	}
	done, err := s.applied(ctx, p.db, files)
	for i := done; i < len(files) && err == nil; i++ {
		err = db.applyStep(ctx, p, s, files[:i+1])
	}
	return err
}

// prepareSteps makes the table in which steps are noted, and where several nodes may start the row that each locks while it
// applies one. PostgreSQL may refuse IF NOT EXISTS to a node that another is only just ahead of.
func prepareSteps(ctx context.Context, p *pool, s schema) (err error) {
	statements := []string{p.dialect.ddl("CREATE TABLE IF NOT EXISTS " + s.table +
		" (\n\tnumber BIGINT PRIMARY KEY,\n\tname TEXT NOT NULL,\n\tsha256 TEXT NOT NULL,\n\tapplied BIGINT NOT NULL\n);")}
	if p.dialect.lock != "" {
		statements = append(statements, "CREATE TABLE IF NOT EXISTS schema_lock (one BIGINT PRIMARY KEY CHECK (one = 1))",
			"INSERT INTO schema_lock (one) VALUES (1) ON CONFLICT (one) DO NOTHING")
	}
	for _, text := range statements {
		for range 5 {
			if _, err = p.db.ExecContext(ctx, text); err == nil || sqlState(err) == "" {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applied returns how many steps are applied, each with the digest that its file has.
func (s schema) applied(ctx context.Context, q interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, files []string) (n int, err error) {
	rows, err := q.QueryContext(ctx, "SELECT sha256 FROM "+s.table+" ORDER BY number")
	if err != nil {
		return 0, fmt.Errorf("schema could not be read: %w", err)
	}
	err = scanAll(rows, func(rows *sql.Rows) error {
		var was string
		if err := rows.Scan(&was); err != nil {
			return err
		}
		if n++; n > len(files) {
			return nil
		}
		_, digest, err := readStep(files[n-1])
		if err == nil && was != digest {
			err = fmt.Errorf("schema step %s: %w", path.Base(files[n-1]), errOtherStep)
		}
		return err
	})
	if err == nil && n > len(files) {
		err = fmt.Errorf("%w: step %d, known are %d", ErrNewer, n, len(files))
	}
	return n, err
}

func readStep(file string) (text, digest string, err error) {
	data, err := migrations.ReadFile(file)
	sum := sha256.Sum256(data)
	return string(data), hex.EncodeToString(sum[:]), err
}

// applyStep applies the last of the files, unless another node has meanwhile. It takes the time that it takes: an index over
// all records may need minutes.
func (db *DB) applyStep(ctx context.Context, p *pool, s schema, files []string) (err error) {
	file := files[len(files)-1]
	defer func() {
		if err != nil {
			err = fmt.Errorf("schema step %s could not be applied: %w", path.Base(file), err)
		}
	}()
	text, digest, err := readStep(file)
	if err != nil {
		return err
	}
	t, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	d := p.dialect
	if d.lock != "" {
		for _, stmt := range []string{d.unhurried, "SELECT one FROM schema_lock WHERE one = 1" + d.lock} {
			if _, err := t.ExecContext(ctx, stmt); err != nil {
				return d.explain(err)
			}
		}
		switch done, err := s.applied(ctx, t, files); {
		case err != nil && !errors.Is(err, ErrNewer): // another node may have applied more than this one
			return err
		case done >= len(files):
			return nil
		}
	}
	if _, err := t.ExecContext(ctx, d.rebind("INSERT INTO "+s.table+" (number, name, sha256, applied) VALUES (?,?,?,?)"),
		len(files), path.Base(file), digest, canonical.Micros(db.config.Now())); err != nil {
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
