package pkcs11

import (
	"fmt"
	"io/fs"
	"unsafe"
)

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
