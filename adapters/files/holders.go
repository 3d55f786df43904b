package files

import (
	"cmp"
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
