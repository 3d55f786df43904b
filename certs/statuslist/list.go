// Package statuslist is the IETF Token Status List (draft-ietf-oauth-status-list): statuses of many tokens as one packed
// and compressed array, published as a signed token.
//
// Entries have 1, 2, 4 or 8 bits, packed from the least significant bit of each byte; the array is zlib-compressed and
// base64url without padding.
package statuslist

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"

	"oncegate/certs/sm"
)

// Statuses of the draft's section 7.1. Three is application specific.
const (
	Valid     = 0
	Invalid   = 1
	Suspended = 2
	Private   = 3
)

// MaxBytes bounds the unpacked array: 4 Mi entries of two bits.
const MaxBytes = 1 << 20

// ErrForm says that bits, index, value or text are not of a status list.
var ErrForm = errors.New("malformed status list")

// List is an array of statuses. It is not safe for concurrent change.
type List struct {
	bits  int
	array []byte
}

// New makes a list of at least size entries, all Valid. The size is rounded up to whole bytes.
func New(bits, size int) (*List, error) {
	if !slices.Contains([]int{1, 2, 4, 8}, bits) || size < 1 || size > MaxBytes*8/bits {
		return nil, fmt.Errorf("%w: %d entries of %d bits", ErrForm, size, bits)
	}
	per := 8 / bits
	return &List{bits, make([]byte, (size+per-1)/per)}, nil
}

// Bits is the width of an entry.
func (l *List) Bits() int { return l.bits }

// Size is the number of entries.
func (l *List) Size() int { return len(l.array) * 8 / l.bits }

// Get returns the status at index; ErrForm when there is none.
func (l *List) Get(index int) (int, error) {
	if index < 0 || index >= l.Size() {
		return 0, fmt.Errorf("%w: index %d of %d", ErrForm, index, l.Size())
	}
	per := 8 / l.bits
	shift := index % per * l.bits
	return int(l.array[index/per]>>shift) & (1<<l.bits - 1), nil
}

// Set changes the status at index; ErrForm when index or status do not fit.
func (l *List) Set(index, status int) error {
	if index < 0 || index >= l.Size() || status < 0 || status >= 1<<l.bits {
		return fmt.Errorf("%w: status %d at index %d", ErrForm, status, index)
	}
	per := 8 / l.bits
	shift := index % per * l.bits
	mask := byte(1<<l.bits-1) << shift
	b := &l.array[index/per]
	*b = *b&^mask | byte(status)<<shift
	return nil
}

// Bytes returns a copy of the packed array: the form to store.
func (l *List) Bytes() []byte { return slices.Clone(l.array) }

// FromBytes takes a packed array.
func FromBytes(bits int, array []byte) (*List, error) {
	if !slices.Contains([]int{1, 2, 4, 8}, bits) || len(array) == 0 || len(array) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes of %d bits", ErrForm, len(array), bits)
	}
	return &List{bits, slices.Clone(array)}, nil
}

// Encode returns lst: the compressed array, base64url.
func (l *List) Encode() string {
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression) // the level is valid
	w.Write(l.array)                                      // a buffer takes everything
	w.Close()
	return sm.B64(b.Bytes())
}

// Decode reads lst. It unpacks MaxBytes at most, whatever the text claims.
func Decode(bits int, lst string) (*List, error) {
	packed, err := sm.ParseB64(lst)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	in := bytes.NewReader(packed)
	r, err := zlib.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%w: not zlib", ErrForm)
	}
	array, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: not zlib", ErrForm)
	}
	if in.Len() > 0 && len(array) <= MaxBytes {
		return nil, fmt.Errorf("%w: bytes after the end", ErrForm)
	}
	return FromBytes(bits, array)
}
