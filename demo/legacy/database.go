package legacy

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// create makes a database file anew and fills it in one transaction.
func create(name, schema string, fill func(*sql.Tx) error) (*sql.DB, error) {
	for _, old := range []string{name, name + "-journal"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("make legacy database: %w", err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+name+"?_pragma=busy_timeout(2000)&_pragma=synchronous(normal)")
	if err != nil {
		return nil, fmt.Errorf("make legacy database: %w", err)
	}
	if err := inOne(db, schema, fill); err != nil {
		return nil, errors.Join(fmt.Errorf("make legacy database: %w", err), db.Close())
	}
	return db, nil
}

func inOne(db *sql.DB, schema string, fill func(*sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(schema); err != nil {
		return err
	}
	if err := fill(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// inserter prepares a statement and returns a function that runs it until the first error.
func inserter(tx *sql.Tx, statement string) (insert func(args ...any), done func() error) {
	st, err := tx.Prepare(statement)
	insert = func(args ...any) {
		if err == nil {
			_, err = st.Exec(args...)
		}
	}
	return insert, func() error {
		if st != nil {
			err = errors.Join(err, st.Close())
		}
		return err
	}
}
