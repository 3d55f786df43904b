package ofd

import (
	"context"
	"io"
)

// Read returns the content of a file, for tests that compare it with what other readers see.
func (p *Package) Read(ctx context.Context, at string) ([]byte, error) {
	b := newBudget(p.size)
	return p.read(ctx, at, MaxUnpacked, b)
}

// Measure is Verify, and the units of work and the digested bytes that it took off the budget.
func Measure(ctx context.Context, r io.ReaderAt, size int64, j Judges) (report Report, work, digested int64, err error) {
	b := newBudget(size)
	p, err := Open(ctx, r, size)
	if err != nil {
		report, err = refused(err)
		return report, 0, 0, err
	}
	left := p.left.clone()
	v := &verification{Package: p, budget: left, judges: j}
	if report, err = v.verify(ctx); err != nil {
		report, err = refused(err)
	}
	return report, b.work - max(0, left.work), b.digests - max(0, left.digests), err
}
