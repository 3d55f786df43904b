package sqldb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// ErrNewer says that the database was migrated by a later version of the program: run that one.
var ErrNewer = errors.New("the database's schema is newer than this program")

var errOtherStep = errors.New("it differs from what was applied")

// StepsTable is the table in which the steps of a database's own schema are noted; [DB.Backup] copies no file without it.
const StepsTable = "schema_steps"

// A Schema is a list of migrations, and the table in which they are noted once they are applied.
type Schema struct {
	Steps fs.FS  // holds the migrations *.sql, in the order of their names; never edited once applied
	Table string // StepsTable, or another for a second schema in the database
	Now   func() time.Time
}

// Migrate brings a schema to this program's version, one transaction for each step. There is no way back: restore a
// backup. The digest of a step that was applied is checked. Several nodes may start at once: what is missing is looked for again
// under a lock.
func (p *Pool) Migrate(ctx context.Context, s Schema) error {
	files, err := fs.Glob(s.Steps, "*.sql")
	if err != nil {
		return err
	}
	if err := prepareSteps(ctx, p, s); err != nil {
		return fmt.Errorf("schema could not be read: %w", p.dialect.explain(err))
	}
	done, err := s.applied(ctx, p.db, files)
	for i := done; i < len(files) && err == nil; i++ {
		err = p.applyStep(ctx, s, files[:i+1])
	}
	return err
}

// prepareSteps makes the table in which steps are noted, and where several nodes may start the row that each locks while it
// applies one. PostgreSQL may refuse IF NOT EXISTS to a node that another is only just ahead of.
func prepareSteps(ctx context.Context, p *Pool, s Schema) (err error) {
	statements := []string{p.dialect.ddl("CREATE TABLE IF NOT EXISTS " + s.Table +
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
func (s Schema) applied(ctx context.Context, q interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, files []string) (n int, err error) {
	rows, err := q.QueryContext(ctx, "SELECT sha256 FROM "+s.Table+" ORDER BY number")
	if err != nil {
		return 0, fmt.Errorf("schema could not be read: %w", err)
	}
	err = ScanAll(rows, func(rows *sql.Rows) error {
		var was string
		if err := rows.Scan(&was); err != nil {
			return err
		}
		if n++; n > len(files) {
			return nil
		}
		_, digest, err := s.readStep(files[n-1])
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

func (s Schema) readStep(file string) (text, digest string, err error) {
	data, err := fs.ReadFile(s.Steps, file)
	sum := sha256.Sum256(data)
	return string(data), hex.EncodeToString(sum[:]), err
}

// applyStep applies the last of the files, unless another node has meanwhile. It takes the time that it takes: an index over
// all records may need minutes.
func (p *Pool) applyStep(ctx context.Context, s Schema, files []string) (err error) {
	file := files[len(files)-1]
	defer func() {
		if err != nil {
			err = fmt.Errorf("schema step %s could not be applied: %w", path.Base(file), err)
		}
	}()
	text, digest, err := s.readStep(file)
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
		for _, stmt := range []string{d.unlimited, "SELECT one FROM schema_lock WHERE one = 1" + d.lock} {
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
	if _, err := t.ExecContext(ctx, d.rebind("INSERT INTO "+s.Table+" (number, name, sha256, applied) VALUES (?,?,?,?)"),
		len(files), path.Base(file), digest, s.Now().UnixMicro()); err != nil {
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
