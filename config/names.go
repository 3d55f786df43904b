package config

import (
	"cmp"

	"oncegate/policy"
)

// Names are what the configuration calls the ids that rules name: in Chinese, or in English where an English name is given.
func (s *Setup) Names(chinese bool) policy.Names {
	of := func(name, english string) string {
		if chinese {
			return cmp.Or(name, english)
		}
		return cmp.Or(english, name)
	}
	departments, systems := make(map[string]string), make(map[string]string)
	for _, d := range s.Departments {
		departments[d.ID] = of(d.Name, d.NameEN)
	}
	for _, y := range s.Systems {
		systems[y.ID] = y.Name
	}
	n := policy.Names{
		Department: func(id string) string { return departments[id] },
		System:     func(id string) string { return systems[id] },
	}
	if s.Catalogue != nil {
		n.LicenseType = func(id string) string {
			t, _ := s.Catalogue.Type(id)
			return of(t.Name, t.NameEN)
		}
		n.Field = func(licenseType, id string) string {
			t, _ := s.Catalogue.Type(licenseType)
			f, _ := t.Field(id)
			return of(f.Title, f.TitleEN)
		}
	}
	if s.Book != nil {
		licenseType := n.LicenseType
		n.LicenseType = func(id string) string {
			if t, ok := s.Book.FilingType(id); ok {
				return of(t.Name, t.NameEN)
			}
			if licenseType == nil {
				return ""
			}
			return licenseType(id)
		}
		n.Matter = func(id string) string {
			m, _ := s.Book.Matter(id)
			return of(m.Name, m.NameEN)
		}
	}
	return n
}
