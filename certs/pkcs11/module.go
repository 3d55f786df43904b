// Package pkcs11 signs with keys that never leave a device (密码机, 智能密码钥匙), through the interface PKCS#11 (OASIS, 2.40).
//
// A [Module] is the vendor's library, loaded once. A [Token] is one partition or card in it, logged in with a PIN, with a
// bounded number of sessions. A [Key] is a crypto.Signer: ECDSA on P-256 and RSA by the standard's mechanisms. An [SM2Key]
// is an [sm.Signer]: the standard has no SM2, so numbers and forms are data of the vendor ([SM2Profile]).
//
//	module, err := pkcs11.Load("/usr/lib/vendor/libp11.so")
//	token, err := module.Open(ctx, pkcs11.Config{Label: "oncegate", PINFile: "pin"})
//	signer, err := token.SM2(ctx, "license-2026", pkcs11.Object{Label: "license"}, profile)
//
// Every signature is verified before it is handed out, so that a wrong profile, another key under the same name or a fault
// in the device costs a call and not a false signature. Every wait is bounded; a device that hangs holds a session and one
// thread, never a caller. A token that was taken out and put back is logged into again by the next call. No error quotes a
// PIN, and a PIN that was refused is not tried a second time, because tokens lock themselves.
//
// The library is called without cgo (ebitengine/purego), so the whole module still builds with CGO_ENABLED=0. A program that
// imports this package is linked dynamically, which is why the oncegate binary does not: see docs/keys.md.
package pkcs11

import (
	"errors"
	"fmt"
	"io/fs"
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

// attribute is CK_ATTRIBUTE.
type attribute struct {
	kind   uint64
	value  uintptr
	length uint64
}

// unavailable is the length that a module gives an attribute which it does not tell (CK_UNAVAILABLE_INFORMATION).
const unavailable = ^uint64(0)

// Object describes a key on a token: by label (CKA_LABEL), by id (CKA_ID), or both. At least one is needed.
type Object struct {
	Label string
	ID    []byte
}

// match is one value that an object must have.
type match struct {
	kind  uint64
	value []byte
}

func number(v uint64) []byte {
	b := make([]byte, 8)
	*(*uint64)(unsafe.Pointer(&b[0])) = v // CK_ULONG, in the machine's own order
	return b
}

// find returns the handle of the only object of a class and description: fs.ErrNotExist, ErrAmbiguous.
func (s *session) find(class uint64, o Object) (uint64, error) {
	if o.Label == "" && len(o.ID) == 0 {
		return 0, fmt.Errorf("find key: neither label nor id is given")
	}
	list := []match{{attrClass, number(class)}}
	if o.Label != "" {
		list = append(list, match{attrLabel, []byte(o.Label)})
	}
	if len(o.ID) > 0 {
		list = append(list, match{attrID, o.ID})
	}
	var f frame
	defer f.Unpin()
	template := make([]attribute, len(list))
	for i, m := range list {
		template[i] = attribute{m.kind, f.bytes(m.value), uint64(len(m.value))}
	}
	if err := s.call(fnFindObjectsInit, at(&f, &template[0]), uintptr(len(template))); err != nil {
		return 0, err
	}
	found, count := new([2]uint64), new(uint64)
	err := s.call(fnFindObjects, at(&f, &found[0]), uintptr(len(found)), at(&f, count))
	if end := s.call(fnFindObjectsFinal); err == nil {
		err = end
	}
	switch {
	case err != nil:
		return 0, err
	case *count == 0:
		return 0, fmt.Errorf("find key: %w", fs.ErrNotExist)
	case *count > 1:
		return 0, fmt.Errorf("find key: %w", ErrAmbiguous)
	}
	return found[0], nil
}

// attribute reads one value of an object. What the object does not have is fs.ErrNotExist.
func (s *session) attribute(object, kind uint64) ([]byte, error) {
	var f frame
	defer f.Unpin()
	a := &attribute{kind: kind}
	if err := s.call(fnGetAttributeValue, uintptr(object), at(&f, a), 1); err != nil {
		return nil, err
	}
	switch {
	case a.length == unavailable || a.length == 0:
		return nil, fmt.Errorf("read attribute %#x: %w", kind, fs.ErrNotExist)
	case a.length > maxAttribute:
		return nil, fmt.Errorf("read attribute %#x: %w", kind, ErrUnusable)
	}
	value := make([]byte, a.length)
	a.value = f.bytes(value)
	if err := s.call(fnGetAttributeValue, uintptr(object), at(&f, a), 1); err != nil {
		return nil, err
	}
	if a.length > uint64(len(value)) {
		return nil, fmt.Errorf("read attribute %#x: %w", kind, ErrUnusable)
	}
	return value[:a.length], nil
}

// numberOf reads an attribute that is a number.
func (s *session) numberOf(object, kind uint64) (uint64, error) {
	b, err := s.attribute(object, kind)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("read attribute %#x: %w", kind, ErrUnusable)
	}
	return *(*uint64)(unsafe.Pointer(&b[0])), nil
}

// mechanism is CK_MECHANISM.
type mechanism struct {
	kind      uint64
	parameter uintptr
	length    uint64
}

// sign makes a signature over data by a mechanism with the bytes of its parameter, which may be none.
func (s *session) sign(key, kind uint64, parameter, data []byte) ([]byte, error) {
	var f frame
	defer f.Unpin()
	m := &mechanism{kind, f.bytes(parameter), uint64(len(parameter))}
	if err := s.call(fnSignInit, at(&f, m), uintptr(key)); err != nil {
		return nil, err
	}
	out, length := make([]byte, maxSignature), new(uint64)
	*length = maxSignature
	if err := s.call(fnSign, f.bytes(data), uintptr(len(data)), f.bytes(out), at(&f, length)); err != nil {
		return nil, err
	}
	if *length > maxSignature {
		return nil, fmt.Errorf("sign: %w", ErrUnusable)
	}
	return out[:*length], nil
}
