package pkcs11

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// functionList is CK_FUNCTION_LIST as 64-bit Unix lays it out: the version, six bytes of padding, the pointers.
type functionList struct {
	major byte
	_     [7]byte // minor version and padding
	fn    [functions]uintptr
}

// initArgs is CK_C_INITIALIZE_ARGS: no functions for locking, because the library may use those of the system.
type initArgs struct {
	_     [4]uintptr
	flags uint64
	_     uintptr
}

// Module is a vendor's library in this process. Load it once: the standard knows no second initialisation. It is safe for
// concurrent use.
type Module struct {
	list   *functionList
	invoke func(fn uintptr, args ...uintptr) uint64
	unload func()
	serial *sync.Mutex // held around every call when the library cannot be called from several threads
}

// Load loads and initialises the library at path. Where the library says that it cannot lock, calls to it are made one after
// the other.
func Load(path string) (*Module, error) {
	list, unload, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("load pkcs11 module %s: %w", path, err)
	}
	m := &Module{list: list, invoke: invoke, unload: unload}
	if err := m.initialize(); err != nil {
		unload()
		return nil, fmt.Errorf("load pkcs11 module %s: %w", path, err)
	}
	return m, nil
}

func (m *Module) initialize() error {
	if m.list == nil || m.list.major < 2 {
		return errors.New("it does not speak version 2 of the interface")
	}
	var f frame
	defer f.Unpin()
	err := m.call(fnInitialize, at(&f, &initArgs{flags: flagOSLocking}))
	if e, ok := errors.AsType[*Error](err); ok && e.Value == rvCantLock {
		m.serial = new(sync.Mutex)
		err = m.call(fnInitialize, 0)
	}
	return err
}

// Close ends the library. Close its tokens first.
func (m *Module) Close() error {
	err := m.call(fnFinalize, 0)
	m.unload()
	return err
}

// call calls a function of the library. Everything that args point to must be pinned by the caller's frame.
func (m *Module) call(name function, args ...uintptr) error {
	fn := m.list.fn[name]
	if fn == 0 {
		return &Error{functionNames[name], rvFunctionNotSupported}
	}
	if m.serial != nil {
		m.serial.Lock()
		defer m.serial.Unlock()
	}
	if rv := m.invoke(fn, args...); rv != rvOK {
		return &Error{functionNames[name], rv}
	}
	return nil
}

// A frame keeps what is given to one call of the library where it is. Unpin it after the call.
type frame struct{ runtime.Pinner }

// at pins v and returns its address.
func at[T any](f *frame, v *T) uintptr {
	f.Pin(v)
	return uintptr(unsafe.Pointer(v))
}

// bytes pins b and returns the address of its first byte; zero when there is none.
func (f *frame) bytes(b []byte) uintptr {
	if len(b) == 0 {
		return 0
	}
	return at(f, &b[0])
}
