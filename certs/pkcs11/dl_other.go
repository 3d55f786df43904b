//go:build !((linux || darwin) && (amd64 || arm64 || loong64))

package pkcs11

import "errors"

func open(string) (*functionList, func(), error) {
	return nil, nil, errors.ErrUnsupported
}

func invoke(uintptr, ...uintptr) uint64 { return rvFunctionNotSupported }
