package register

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"slices"
	"strconv"

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

// At returns the version that occupies a slot of a list; fs.ErrNotExist if none does.
func (r *Register) At(ctx context.Context, list string, slot int) (Version, error) {
	v, err := r.config.Storage.At(ctx, list, slot)
	if err != nil {
		return Version{}, fmt.Errorf("find version by its slot: %w", err)
	}
	return v, nil
}

// Lists returns the ids of all status lists, the oldest first.
func (r *Register) Lists(ctx context.Context) ([]string, error) {
	lists, err := r.config.Storage.Lists(ctx)
	if err != nil {
		return nil, fmt.Errorf("find status lists: %w", err)
	}
	ids := make([]string, len(lists))
	for i, l := range lists {
		ids[i] = l.ID
	}
	return ids, nil
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

const (
	serialLength   = 20
	serialAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

	// draws is how many random slots of a list are tried before it counts as full: at 70 % of its slots one license in
	// seventeen opens the next list.
	draws = 8

	// patientDraws is how many are tried of a list that nothing is committed in: only versions of this moment stand in it.
	patientDraws = 1024
)

// serial draws the serial number (流水号) of a new license.
func (r *Register) serial() (string, error) {
	const fair = 256 / len(serialAlphabet) * len(serialAlphabet) // bytes below it fall on all characters equally
	serial := make([]byte, 0, serialLength)
	var b [32]byte
	for {
		if _, err := io.ReadFull(r.config.Rand, b[:]); err != nil {
			return "", fmt.Errorf("draw serial: %w", err)
		}
		for _, x := range b {
			if int(x) >= fair {
				continue
			}
			if serial = append(serial, serialAlphabet[int(x)%len(serialAlphabet)]); len(serial) == serialLength {
				return string(serial), nil
			}
		}
	}
}

// place draws a free slot of the newest list, at random so that it tells nothing of the order of signing. Another may take
// it first; the commit then says ErrTaken.
func (r *Register) place(ctx context.Context, lists []List) (list string, slot int, err error) {
	if last := len(lists) - 1; last >= 0 && !lists[last].Closed {
		list = lists[last].ID
		for range draws {
			if slot, err = r.draw(); err != nil {
				return "", 0, err
			}
			if !r.reserve(list, slot) {
				continue
			}
			taken, err := r.config.Storage.Taken(ctx, list, slot)
			if err != nil || !taken {
				return list, slot, err
			}
		}
	}
	list = r.nextList(lists)
	for range patientDraws {
		if slot, err = r.draw(); err != nil || r.reserve(list, slot) {
			break
		}
	}
	return list, slot, err // at worst one whose version was never committed
}

// A place is a slot of a list.
type place struct {
	list string
	slot int
}

// reserve notes a slot that was drawn, and reports whether it was not drawn a moment ago for a version that may not be
// committed yet: two versions of one record would refuse it for ever.
func (r *Register) reserve(list string, slot int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, at := r.config.Now(), place{list, slot}
	if since, drawn := r.drawn[at]; drawn && now.Sub(since) < pendingLife {
		return false
	}
	if r.sweep(now); len(r.drawn) < maxDrawn {
		r.drawn[at] = now
	}
	return true
}

// nextList names the list after these: 1, 2, 3, …; after a recovery with a name of the log's before the number, for lists of
// the names that would follow may have been published, and lost.
func (r *Register) nextList(lists []List) string {
	series := ""
	if slices.ContainsFunc(lists, func(l List) bool { return l.Closed }) {
		h := r.config.NewSM3()
		h.Write([]byte(r.config.Origin))
		series = hex.EncodeToString(h.Sum(nil)[:8]) + "-"
	}
	for n := len(lists) + 1; ; n++ {
		id := series + strconv.Itoa(n)
		if !slices.ContainsFunc(lists, func(l List) bool { return l.ID == id }) {
			return id
		}
	}
}

// closed reports whether a list is closed.
func closed(lists []List, id string) bool {
	return slices.ContainsFunc(lists, func(l List) bool { return l.ID == id && l.Closed })
}

func (r *Register) draw() (int, error) {
	slot, err := rand.Int(r.config.Rand, big.NewInt(int64(r.config.ListSize)))
	if err != nil {
		return 0, fmt.Errorf("draw slot: %w", err)
	}
	return int(slot.Int64()), nil
}
