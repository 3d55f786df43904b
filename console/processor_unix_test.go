//go:build unix

package console_test

import (
	"syscall"
	"time"
)

// processorTime is the time that processors have spent on this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
