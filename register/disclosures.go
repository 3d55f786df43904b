package register

import (
	"sync"
	"time"
	"weak"

	"oncegate/license"
)

const (
	// disclosureLife is the longest time that a disclosure stays in the cache after it was made.
	disclosureLife = time.Minute

	// maxDisclosures bounds the cache in bytes, names and map included.
	maxDisclosures = 8 << 20

	// disclosureCost is about what an entry costs beside its text.
	disclosureCost = 256
)

// disclosures is a bounded cache of disclosures that were released lately, so that a license which several offices ask for within a minute
// is not salted and encoded anew for each. It holds personal data in plain text, in memory only and never longer than disclosureLife: only
// claims that were granted to somebody, and nothing of what was merely read. It has two generations: what was made since the last rotation and
// what was made before; each rotation drops the older one, so that an entry goes by its age however often it is asked for.
//
// An entry is found by version and keyed digest of the content: a license that says something else finds nothing of what it said before.
// Salts follow from the identifier and from the register's key, which never changes during its life: a Register has a cache of its own.
type disclosures struct {
	mu         sync.Mutex // protects all fields
	young, old map[disclosure]string
	bytes      int  // about what young takes
	rotating   bool // a timer is set
}

// A disclosure names a claim of one signed content.
type disclosure struct {
	of   signedContent
	path string
}

// find returns the texts of all these claims, in order, or false.
func (d *disclosures) find(of signedContent, claims []license.Claim) ([]string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	texts := make([]string, len(claims))
	for i, c := range claims {
		at := disclosure{of, c.Path}
		text, ok := d.young[at]
		if !ok {
			text, ok = d.old[at]
		}
		if !ok {
			return nil, false
		}
		texts[i] = text
	}
	return texts, true
}

// keep takes in the texts of claims.
func (d *disclosures) keep(of signedContent, claims []license.Claim, texts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, c := range claims {
		cost := len(texts[i]) + disclosureCost
		if cost > maxDisclosures/2 {
			continue
		}
		if d.bytes+cost > maxDisclosures/2 {
			d.rotate()
		}
		if d.young == nil {
			d.young = make(map[disclosure]string)
		}
		if _, known := d.young[disclosure{of, c.Path}]; !known {
			d.bytes += cost
		}
		d.young[disclosure{of, c.Path}] = texts[i]
	}
	d.rotateLater()
}

// rotate drops the older generation. Callers hold mu.
func (d *disclosures) rotate() { d.young, d.old, d.bytes = nil, d.young, 0 }

// rotateLater sets the timer, unless it is set or nothing is kept: a register that nobody asks forgets too. The timer holds the cache by a
// weak pointer: it must not keep the cache of a register in memory that a reload has replaced. Callers hold mu.
func (d *disclosures) rotateLater() {
	if d.rotating || len(d.young)+len(d.old) == 0 {
		return
	}
	d.rotating = true
	cache := weak.Make(d)
	time.AfterFunc(disclosureLife/2, func() {
		d := cache.Value()
		if d == nil {
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.rotate()
		d.rotating = false
		d.rotateLater()
	})
}
