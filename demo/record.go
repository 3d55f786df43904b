package demo

import (
	"oncegate/audit"
	"oncegate/tlog"
)

// usesOf reads what a receipt's record says was used.
func usesOf(r tlog.Receipt) ([]audit.Use, error) {
	record, err := audit.ParseRecord(r.Record)
	return record.Uses, err
}
