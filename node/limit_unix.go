//go:build unix

package node

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// ignoreFileSizeSignal makes a write beyond the limit of file sizes an error, which refuses a call, instead of a signal, which
// would end the process.
func ignoreFileSizeSignal() { signal.Ignore(syscall.SIGXFSZ) }

// openFiles is how many files this process may have open; 0 if it is not told. Go has raised the limit as far as it may.
func openFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}
