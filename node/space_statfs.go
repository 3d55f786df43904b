//go:build linux || darwin || freebsd

package node

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that this process may still write to the file system of a folder.
func freeSpace(path string) (free uint64, known bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, false, err
	}
	return uint64(max(0, s.Bavail)) * uint64(s.Bsize), true, nil
}
