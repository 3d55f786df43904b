package ofd

import "maps"

// Bounds of the work of opening and verifying a package together. A package that needs more has [StepWork], not checkable, and
// nothing is said of its signatures.
const (
	// MaxDigested bounds the bytes that are digested, each file once for each digest method that signatures name.
	MaxDigested = 24 << 20

	// maxWork bounds all work, in units of a digested byte, about 4 ns. It grows with packages past a megabyte.
	maxWork, workPerByte, freeSize = 24 << 20, 10, 1 << 20
	// Opening alone costs at most this and so much for each byte of the package: many may be opened for one that is verified.
	maxOpening, openingPerByte = 1 << 20, 20

	workPerFile   = 1000 // to place, name, unpack and digest one
	workPerPacked = 8    // a byte to inflate: the least that deflate makes of it costs most
	workPerXML    = 6    // a byte of a file that is read as a tree
	workPerNode   = 120  // an element of it
	workPerRef    = 300  // a reference to a file
	workPerValue  = 4    // a byte of a signature value, which its judge reads and digests several times
)

// maxKept bounds the files that are kept in memory once they were unpacked, in bytes.
const maxKept = 16 << 20

// A budget is what may still be spent, and what was bought already: files that were unpacked whole are not unpacked again.
type budget struct {
	work, digests int64
	files         map[string][]byte // by path
	kept          int64             // bytes of files
}

func newBudget(size int64) *budget {
	return &budget{work: maxWork + workPerByte*max(0, size-freeSize), digests: MaxDigested, files: make(map[string][]byte)}
}

// opening is the part of the budget that opening may spend.
func (b *budget) opening(size int64) *budget {
	return &budget{work: min(b.work, maxOpening+openingPerByte*size), digests: b.digests, files: b.files}
}

// clone is the budget for somebody else, who has the same files.
func (b *budget) clone() *budget {
	c := *b
	c.files = maps.Clone(b.files)
	return &c
}

// keep keeps a file that was unpacked.
func (b *budget) keep(at string, content []byte) {
	if b.kept+int64(len(content)) <= maxKept {
		b.files[at], b.kept = content, b.kept+int64(len(content))
	}
}

// spend takes units of work off the budget, or refuses.
func (b *budget) spend(units int64) error {
	if b.work -= units; b.work < 0 {
		return refuse(StepWork, "the work budget is used up: to verify the package costs more than one of its size may")
	}
	return nil
}

// digest takes the digesting of bytes off the budget, or refuses.
func (b *budget) digest(bytes int64) error {
	if b.digests -= bytes; b.digests < 0 {
		return refuse(StepWork, "the work budget is used up: its signatures ask for digests of more than %d bytes", MaxDigested)
	}
	return b.spend(bytes)
}

// unpack takes the unpacking of an entry off the budget, or refuses. What was kept costs nothing.
func (b *budget) unpack(e *entry) error {
	if _, kept := b.files["/"+e.name]; kept {
		return nil
	}
	units := e.size / 4
	if e.method == deflated {
		units += workPerPacked * e.packed
	}
	return b.spend(units)
}
