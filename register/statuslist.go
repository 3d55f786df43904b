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

// ListURI is where a list is published.
func (r *Register) ListURI(list string) string { return r.config.BaseURL + "/status-lists/" + list }

// StatusList returns a list as the packed array of the Token Status List: StatusBits per slot, from the least significant
// bit of each byte. Slots that no version has are valid. The error is fs.ErrNotExist if there is no such list.
func (r *Register) StatusList(ctx context.Context, list string) ([]byte, error) {
	lists, err := r.config.Storage.Lists(ctx)
	if err != nil {
		return nil, fmt.Errorf("make status list: %w", err)
	}
	if !slices.Contains(lists, list) {
		return nil, fmt.Errorf("make status list: %w", fs.ErrNotExist)
	}
	const per = 8 / StatusBits
	packed := make([]byte, (r.config.ListSize+per-1)/per)
	err = r.config.Storage.Statuses(ctx, list, func(slot int, status license.Status) {
		if slot < 0 || slot >= maxList {
			return // no version was ever put there
		}
		if need := slot/per + 1; need > len(packed) { // of a time when lists were larger
			packed = append(packed, make([]byte, need-len(packed))...)
		}
		packed[slot/per] |= slotOf(status) << (slot % per * StatusBits)
	})
	if err != nil {
		return nil, fmt.Errorf("make status list: %w", err)
	}
	return packed, nil
}
