package register

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"oncegate/license"
)

// StatusBits is the width of a slot in bits.
const StatusBits = 2

// Values of a slot, as in the IETF Token Status List: 0 VALID, 1 INVALID, 2 SUSPENDED, and its application-specific 3.
const (
	slotValid      = 0
	slotRevoked    = 1
	slotSuspended  = 2
	slotSuperseded = 3
)

// slotOf is how a status stands in a list. Expired has no value of its own: the license's exp says it already, and where
// the source says it earlier the license does not hold any more, as though revoked. So does what is not known.
func slotOf(s license.Status) byte {
	switch s {
	case license.Valid:
		return slotValid
	case license.Suspended:
		return slotSuspended
	case license.Superseded:
		return slotSuperseded
	}
	return slotRevoked
}

// StatusOf reads the value of a slot; what has no meaning is Revoked.
func StatusOf(value int) license.Status {
	switch value {
	case slotValid:
		return license.Valid
	case slotSuspended:
		return license.Suspended
	case slotSuperseded:
		return license.Superseded
	}
	return license.Revoked
}

// ListsURL is what the addresses of all status lists of a gateway begin with.
func ListsURL(base string) string { return base + "/status-lists/" }

// ListURI is where a list is published.
func (r *Register) ListURI(list string) string { return ListsURL(r.config.BaseURL) + list }

// StatusList returns a list as the packed array of the Token Status List: StatusBits per slot, from the least significant
// bit of each byte. Slots that no version has are valid; in a closed list they are superseded, for what was signed there and
// lost can be revoked by nobody any more. The error is fs.ErrNotExist if there is no such list.
func (r *Register) StatusList(ctx context.Context, list string) ([]byte, error) {
	packed, err := r.statusList(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("make status list: %w", err)
	}
	return packed, nil
}

// ListChanges counts the changes of a list: it is another number when StatusList would return another array. The error is
// fs.ErrNotExist if there is no such list.
func (r *Register) ListChanges(ctx context.Context, list string) (int64, error) {
	l, err := r.list(ctx, list)
	if err != nil {
		return 0, fmt.Errorf("find status list: %w", err)
	}
	return l.Changes, nil
}

func (r *Register) list(ctx context.Context, id string) (List, error) {
	lists, err := r.config.Storage.Lists(ctx)
	if err != nil {
		return List{}, err
	}
	if i := slices.IndexFunc(lists, func(l List) bool { return l.ID == id }); i >= 0 {
		return lists[i], nil
	}
	return List{}, fs.ErrNotExist
}

func (r *Register) statusList(ctx context.Context, id string) ([]byte, error) {
	list, err := r.list(ctx, id)
	if err != nil {
		return nil, err
	}
	p := make(packed, (r.config.ListSize+perByte-1)/perByte)
	if list.Closed {
		for i := range p {
			p[i] = 0xff // slotSuperseded throughout
		}
		if err := r.config.Storage.Occupied(ctx, id, func(slot int) { p.set(slot, slotValid) }); err != nil {
			return nil, err
		}
	}
	err = r.config.Storage.Statuses(ctx, id, func(slot int, status license.Status) { p.set(slot, slotOf(status)) })
	return p, err
}

// packed is an array of slots.
type packed []byte

const (
	perByte  = 8 / StatusBits
	slotMask = 1<<StatusBits - 1
)

func (p *packed) set(slot int, value byte) {
	if slot < 0 || slot >= maxList {
		return // no version was ever put there
	}
	if need := slot/perByte + 1; need > len(*p) { // of a time when lists were larger
		*p = append(*p, make([]byte, need-len(*p))...)
	}
	b, shift := &(*p)[slot/perByte], slot%perByte*StatusBits
	*b = *b&^(slotMask<<shift) | value<<shift
}
