//go:build (linux || darwin) && (amd64 || arm64 || loong64)

package pkcs11

import (
	"errors"
	"unsafe"

	"github.com/ebitengine/purego"
)

// open loads a library and asks it for its functions.
func open(path string) (*functionList, func(), error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, nil, err
	}
	unload := func() { _ = purego.Dlclose(handle) }
	entry, err := purego.Dlsym(handle, "C_GetFunctionList")
	if err != nil {
		unload()
		return nil, nil, errors.New("it has no C_GetFunctionList: not a pkcs11 module")
	}
	var f frame
	defer f.Unpin()
	list := new(*functionList)
	f.Pin(list)
	if rv := invoke(entry, uintptr(unsafe.Pointer(list))); rv != rvOK {
		unload()
		return nil, nil, &Error{"C_GetFunctionList", rv}
	}
	return *list, unload, nil
}

// invoke calls a C function.
func invoke(fn uintptr, args ...uintptr) uint64 {
	rv, _, _ := purego.SyscallN(fn, args...)
	return uint64(rv)
}
