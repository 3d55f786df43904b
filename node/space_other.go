//go:build !linux && !darwin && !freebsd

package node

func freeSpace(string) (free uint64, known bool, err error) { return 0, false, nil }
