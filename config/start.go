package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"oncegate/fault"
	"oncegate/store"
	"oncegate/verdict"
)

// CheckStart reports what would keep a node from starting although the files of a checked configuration have no fault: a source that
// cannot be opened (its secret, its folder), a database that is not there, trust that cannot be used. It opens them as a node does
// (OpenSource.Open, TrustConfig) and closes them again; it connects to nothing, and listens nowhere. Where init was never run they are
// warnings: a sample names what does not exist yet.
func (s *Setup) CheckStart(now func() time.Time) (faults fault.List) {
	report := func(path, format string, args ...any) {
		faults.AddAt(s.places[path], format, args...)
		faults[len(faults)-1].Warning = s.Unmade
	}
	for i, c := range s.Sources {
		a, err := OpenSource{Now: now, Logger: slog.New(slog.DiscardHandler)}.Open(c, s)
		var missing *fs.PathError
		switch {
		case errors.As(err, &missing): // a secret, a key, a folder
			report(sourcePath(i), "cannot open source %s: %s", c.ID, PathReason(missing))
			continue
		case err != nil:
			report(sourcePath(i), "%v", err)
			continue
		}
		if err := a.Close(); err != nil {
			report(sourcePath(i), "%v", err)
		}
	}
	if s.Unmade {
		return faults.Sorted()
	}
	if s.Store.Driver != store.Postgres {
		if _, err := os.Stat(s.Store.Path); err != nil {
			report("$.store.path", "%s; oncegate init makes a database where there was none, and a lost one is restored from a backup", PathReason(err))
		}
	}
	trust, err := s.TrustConfig(now)
	if err == nil {
		_, err = verdict.NewTrust(trust)
	}
	if err != nil {
		report("$.trust", "%v", err)
	}
	return faults.Sorted()
}

func sourcePath(i int) string { return fmt.Sprintf("$.sources[%d]", i) }

// checkUsed warns of license types that have a source and that no grant names: nobody may use what a steward has just connected.
func (l *loader) checkUsed() {
	if l.setup.Policy == nil {
		return
	}
	granted := map[string]bool{}
	for _, g := range l.setup.Policy.Grants() {
		granted[g.LicenseType] = true
	}
	for i, s := range l.setup.Sources {
		for _, t := range s.types() {
			if _, known := l.setup.Catalogue.Type(t); known && !granted[t] {
				l.doc.Warn(sourcePath(i), "no grant names license type %q: nobody may use what this source has", fault.Clip(t))
			}
		}
	}
}

// checkModes warns of secrets, keys and databases that everybody on the machine may read.
func (l *loader) checkModes() {
	s := l.setup
	warn := func(path, name string) {
		if name != "" && openToAll(name) {
			l.doc.Warn(path, "everybody on this machine may read %s: set its mode to 0600", l.relative(name))
		}
	}
	warn("$.keys.passphrase_file", s.Config.Keys.PassphraseFile)
	keys, _ := filepath.Glob(filepath.Join(s.Config.Keys.Dir, "*.key"))
	if i := slices.IndexFunc(keys, openToAll); i >= 0 {
		warn("$.keys.dir", keys[i])
	}
	warn("$.gateway.tls.key", s.Gateway.TLS.Key)
	warn("$.store.dsn_file", s.Store.DSNFile)
	for _, name := range []string{s.Store.Path, s.Store.Path + "-search"} {
		if s.Store.Path != "" {
			warn("$.store.path", name)
		}
	}
	for i, c := range s.Sources {
		for _, a := range c.Adapter.byKey {
			for _, name := range a.Secrets() {
				warn(sourcePath(i), name)
			}
		}
	}
}

// openToAll reports whether any account of the machine may read or change a file: its mode says so, and that of every folder above it.
// Windows keeps its rights elsewhere.
func openToAll(name string) bool {
	info, err := os.Stat(name)
	if runtime.GOOS == "windows" || err != nil || info.IsDir() || info.Mode().Perm()&0o006 == 0 {
		return false
	}
	name, err = filepath.Abs(name)
	for dir := filepath.Dir(name); err == nil; dir = filepath.Dir(dir) {
		var info fs.FileInfo
		if info, err = os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) || strings.TrimSuffix(dir, string(filepath.Separator)) == filepath.VolumeName(dir) {
			break
		}
	}
	return err == nil
}
