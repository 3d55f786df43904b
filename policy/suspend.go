package policy

import "slices"

// sharePrefix begins the rule id under which a share attribute refuses: "share/" and the license type.
const sharePrefix = "share/"

// share returns the share attribute of a license type; 0 for operations that release no license.
func (s *Set) share(licenseType string) Share {
	if share, ok := s.shares[licenseType]; ok {
		return share
	}
	if licenseType == "" {
		return Share{}
	}
	return Share{LicenseType: licenseType, Attribute: Conditional}
}

// suspending returns those of a list that are in force and, where they name license types, name the question's.
func (s *Set) suspending(list []*suspension, q *Question) (in []*suspension) {
	for _, p := range list {
		if within(q.Now, p.from, p.until) && (len(p.LicenseTypes) == 0 || slices.Contains(p.LicenseTypes, q.LicenseType)) {
			in = append(in, p)
		}
	}
	return in
}

// suspendingAll returns the suspensions of the question's system and of its license type.
func (s *Set) suspendingAll(q *Question) []*suspension {
	return append(s.suspending(s.onSystem[q.System], q), s.suspending(s.onType[q.LicenseType], q)...)
}

// suspendedSystem says whether the question's system is suspended as a whole.
func (s *Set) suspendedSystem(q *Question) bool {
	return slices.ContainsFunc(s.suspending(s.onSystem[q.System], q), func(p *suspension) bool { return len(p.LicenseTypes) == 0 })
}

// suspendedType says whether the question's license type is suspended as a whole.
func (s *Set) suspendedType(q *Question) bool { return s.suspending(s.onType[q.LicenseType], q) != nil }
