package node

import (
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
)

// A certified names the keys that one label set of a metric is about.
type certified struct{ usage, department string }

// ownExpiry is how long the certificates of the keys that sign for us will last, the shortest of each usage and department. Keys
// that sign nothing any more do not count.
func (s *Setup) ownExpiry(now time.Time) map[certified]time.Duration {
	shortest := make(map[certified]time.Duration)
	note := func(k keystore.Info, department string) {
		chain, err := pki.ParseChain(k.Chain)
		if err != nil || len(chain) == 0 {
			return
		}
		of, left := certified{k.Usage, department}, chain[0].NotAfter.Sub(now)
		for _, above := range chain[1:] { // a chain holds as long as its shortest certificate
			left = min(left, above.NotAfter.Sub(now))
		}
		if known, ok := shortest[of]; !ok || left < known {
			shortest[of] = left
		}
	}
	departments := make(map[string]string, len(s.Departments))
	for _, d := range s.Departments {
		departments[d.USCC] = d.ID
		if k, err := licenseKey(s.Keys, d); err == nil && d.LicenseKey != "" {
			note(k, d.ID)
		}
	}
	for _, k := range s.Keys.List() {
		if k.State != keystore.Current || k.Usage == keystore.License {
			continue
		}
		department, known := departments[k.Owner]
		if !known { // the gateway's own
			department = s.Gateway.Department
		}
		note(k, department)
	}
	return shortest
}
