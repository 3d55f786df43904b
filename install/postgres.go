package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"oncegate/config"
	"oncegate/store"
)

// storeSection is the store of a configuration that was just written.
var storeSection = regexp.MustCompile(`(?m)^store:\n  driver: sqlite.*\n  path: .*\n`)

// OnPostgres checks the file of a connection string and the PostgreSQL database that it leads to ([store.CheckVacant]), and returns a
// function that writes a configuration, as write does, whose database that is. The error of a database that cannot be used says what to
// do; nothing was written then.
func OnPostgres(ctx context.Context, dsnFile string, write func(dir string) error) (func(dir string) error, error) {
	dsnFile, err := filepath.Abs(dsnFile)
	if err != nil {
		return nil, err
	}
	s := config.Store{Driver: store.Postgres, DSNFile: dsnFile}
	if f := s.CheckDSNFile(); f != nil && !f.Warning {
		return nil, errors.New(f.Reason)
	}
	dsn, err := s.ReadDSN()
	if err != nil {
		return nil, err
	}
	if err := store.CheckVacant(ctx, dsn); err != nil {
		return nil, fmt.Errorf("the database of %s cannot be used: %w", dsnFile, err)
	}
	return func(dir string) error {
		if err := write(dir); err != nil {
			return err
		}
		name := filepath.Join(dir, config.MainFile)
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		at := storeSection.FindIndex(text)
		if at == nil {
			return fmt.Errorf("%s has no store to replace", name)
		}
		section := fmt.Sprintf("store:\n  driver: postgres\n  dsn_file: %q # the connection string; its password stands nowhere else\n", relativeTo(dir, dsnFile))
		return replaceFile(name, append(append(append([]byte{}, text[:at[0]]...), section...), text[at[1]:]...), 0o600)
	}, nil
}

// relativeTo is a file's path as a configuration in a folder names it: relative where it lies in the folder.
func relativeTo(dir, name string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return name
	}
	if rel, err := filepath.Rel(abs, name); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return name
}
