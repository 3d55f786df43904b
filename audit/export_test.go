package audit

import "time"

// InSlices lets pages that are proven whole be read in slices of so many records, and end after the first beyond patience.
func (a *Auditor) InSlices(records uint64, patience time.Duration) {
	a.slice, a.patience = records, patience
}
