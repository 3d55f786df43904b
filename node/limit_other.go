//go:build !unix

package node

func outliveFileLimit() {}
