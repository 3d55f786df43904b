package install

import (
	"errors"
	"fmt"
	"io/fs"

	"oncegate/config"
	"oncegate/tlog"
)

// LogMissing says why a database without the log of its configuration cannot be served, and what to do. Where the high-water mark knows a
// log, init must not begin another one: what was recorded would be forgotten without anybody noticing.
func LogMissing(s *config.Setup) error {
	signed, err := tlog.ReadMark(s.Log.Mark)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the log %s was never created: run oncegate init -c %s", s.Log.Origin, s.File)
	}
	if err != nil {
		return err
	}
	known, err := tlog.ParseCheckpoint(signed)
	if err != nil {
		return fmt.Errorf("read high-water mark: %w", err)
	}
	return fmt.Errorf("the database has no log, but the high-water mark %s says that the log %s had %d records: name the database that has them under store, or restore its backup; if nobody needs them any more, as after a trial, move that file away and run oncegate init -c %s", s.Log.Mark, known.Origin, known.Size, s.File)
}
