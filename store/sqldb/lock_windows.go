package sqldb

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// LockFile takes the lock beside a database, so that two processes never write one file. The system drops it with the process,
// however that ends; the file itself stays.
func LockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file cannot be opened: %w", err)
	}
	const whole = ^uint32(0)
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, whole, whole, new(windows.Overlapped)); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return f, nil
}
