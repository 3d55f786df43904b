package ofd

import "context"

// Read returns the content of a file, for tests that compare it with what other readers see.
func (p *Package) Read(ctx context.Context, at string) ([]byte, error) {
	b := newBudget(p.size)
	return p.read(ctx, at, MaxUnpacked, b)
}
