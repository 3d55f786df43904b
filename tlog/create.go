package tlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Create makes the log that config names, empty and with a signed checkpoint. It is the only way for
// a log to come into being, besides Recover, so that no slip in a configuration begins a second
// history. The error is fs.ErrExist if the storage has the log already, or a mark says that it had.
func Create(ctx context.Context, config Config) error {
	config, err := config.withDefaults()
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	if config.Mark != "" {
		if _, err := ReadMark(config.Mark); err == nil {
			return fmt.Errorf("create log %s: there is a high-water mark: %w", config.Origin, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("create log %s: %w", config.Origin, err)
		}
	}
	if err := create(ctx, config); err != nil {
		return fmt.Errorf("create log %s: %w", config.Origin, err)
	}
	return nil
}

func create(ctx context.Context, config Config) error {
	h := newHashers(config.NewSM3)
	c := Checkpoint{
		Origin: config.Origin,
		SM3:    [HashSize]byte(h.sm3.EmptyRoot()),
		SHA256: [HashSize]byte(h.sha256.EmptyRoot()),
	}
	signed, err := signCheckpoint(ctx, c, config.SM2, config.Ed25519)
	if err != nil {
		return err
	}
	return config.Storage.Create(ctx, Head{Checkpoint: signed})
}

// Recover begins a new log after ErrRolledBack. config names a new origin with keys of its own name
// and the storage of that origin, which is empty; last is the last checkpoint known of the old log,
// as ReadMark returns it. It becomes entry 0, so that the new history says where the old one broke
// off and verifiers of the old one can prove what it lost. The mark then follows the new log.
//
// Recover may be repeated until it succeeds.
func Recover(ctx context.Context, config Config, last string) error {
	if err := recoverLog(ctx, config, last); err != nil {
		return fmt.Errorf("recover into log %s: %w", config.Origin, err)
	}
	return nil
}

func recoverLog(ctx context.Context, config Config, last string) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	old, err := ParseCheckpoint(last)
	if err != nil {
		return fmt.Errorf("last known checkpoint: %w", err)
	}
	if old.Origin == config.Origin {
		return errors.New("the new log needs an origin of its own")
	}
	if err := create(ctx, config); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	path := config.Mark
	config.Mark = "" // it is of the old log still
	if err := appendFirst(ctx, config, last); err != nil {
		return err
	}
	head, err := config.Storage.Head(ctx)
	if err != nil || path == "" {
		return err
	}
	return writeMark(path, head.Checkpoint)
}

// appendFirst makes sure that last is entry 0.
func appendFirst(ctx context.Context, config Config, last string) (err error) {
	l, err := Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	if l.known.Load().Size == 0 {
		_, err := l.Append(ctx, []byte(last), nil)
		return err
	}
	leaves, err := config.Storage.Leaves(ctx, 0, 1)
	if err != nil {
		return err
	}
	if string(leaves[0]) != last {
		return fmt.Errorf("a log with another beginning is there: %w", fs.ErrExist)
	}
	return nil
}
