package files

import (
	"cmp"
	"context"
	"slices"

	"oncegate/license"
)

// Holders returns the holders of all licenses in the drop that serves, sorted, each once; an error if none can serve.
func (s *Source) Holders() ([]license.HolderID, error) {
	d := s.current.Load()
	if err := s.usable(d); err != nil {
		return nil, err
	}
	list := make([]license.HolderID, 0, len(d.byHolder))
	for h := range d.byHolder {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b license.HolderID) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	})
	return list, nil
}

// Sample returns the holders of the first n licenses of the drop that serves, each once, to try the source with.
func (s *Source) Sample(_ context.Context, _ string, n int) (list []license.HolderID, err error) {
	d := s.current.Load()
	if err := s.usable(d); err != nil {
		return nil, err
	}
	for _, l := range d.licenses {
		if len(list) == n {
			break
		}
		if h := l.Holders[0].HolderID; !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	return list, nil
}
