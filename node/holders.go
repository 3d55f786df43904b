package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"oncegate/license"
)

// A lister is a source that knows all holders it has licenses of.
type lister interface {
	// Holders returns them, sorted, each once.
	Holders() ([]license.HolderID, error)
}

// SourceHolders lists the holders that a source of a configuration has licenses of a type of. The error is a fault.List where the
// configuration is unusable.
func SourceHolders(ctx context.Context, path, source, licenseType string) (list []license.HolderID, err error) {
	setup, faults := Load(path, time.Now())
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if setup.Keys == nil {
		return nil, setup.KeysErr
	}
	i := slices.IndexFunc(setup.Sources, func(s Source) bool { return s.ID == source && slices.Contains(s.types(), licenseType) })
	if i < 0 {
		return nil, fmt.Errorf("list holders: the configuration has no source %s with licenses of type %s", source, licenseType)
	}
	a, err := openSource(setup.Sources[i], setup, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		return nil, fmt.Errorf("list holders: %w", err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	l, ok := a.(lister)
	if !ok {
		return nil, fmt.Errorf("list holders: source %s answers about one holder at a time; name them with --holders FILE", source)
	}
	if list, err = l.Holders(); err != nil {
		return nil, fmt.Errorf("list holders: %w", err)
	}
	return list, nil
}
