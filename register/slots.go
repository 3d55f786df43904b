package register

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
)

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
