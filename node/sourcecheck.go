package node

import (
	"cmp"
	"fmt"
	"time"

	"oncegate/fault"
	"oncegate/license"
)

// types are the license types that a source has.
func (s Source) types() (list []string) {
	if s.SQL != nil {
		for _, q := range s.SQL.Queries {
			list = append(list, q.Record.Type)
		}
	}
	if s.REST != nil {
		for _, c := range s.REST.Calls {
			list = append(list, c.Record.Type)
		}
	}
	if s.Files != nil {
		list = append(list, s.Files.Record.Type)
	}
	return list
}

// served says which source has a license type.
func (l *loader) served() map[string]string {
	serves := map[string]string{}
	for _, s := range l.setup.Sources {
		for _, t := range s.types() {
			if _, taken := serves[t]; !taken && t != "" {
				serves[t] = s.ID
			}
		}
	}
	return serves
}

// checkSources checks every source, and that no two have the same license type.
func (l *loader) checkSources() {
	l.setup.Serves = l.served()
	ids := l.unique()
	first := map[string]string{} // license type → where
	for i, s := range l.setup.Sources {
		at := fmt.Sprintf("$.sources[%d]", i)
		ids(at+".id", s.ID)
		l.unless(idForm.MatchString(s.ID), at+".id", "the id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
		l.unless(l.department(s.Department), at+".department", "there is no department %q", fault.Clip(s.Department))
		l.unless(s.Concurrent >= 0 && s.Failures >= 0, at, "bounds may not be negative")
		if call := cmp.Or(time.Duration(l.setup.Limits.Call), defaultCall); cmp.Or(time.Duration(s.Deadline), defaultSource) >= call {
			l.warn(at, "the source's deadline is not shorter than limits.call, %s: when the source hangs, calls end before it is found out", call)
		}
		l.checkAdapter(at, s)
		for _, t := range s.types() {
			if before, taken := first[t]; taken && before != s.ID {
				l.doc.Add(at, "licenses of type %q come from source %s already; a type has one source", fault.Clip(t), before)
			} else if t != "" {
				first[t] = s.ID
			}
		}
	}
	l.checkSigners()
}

func (l *loader) checkAdapter(at string, s Source) {
	set := 0
	check := func(present bool, key string, check func(*license.Catalogue) fault.List) {
		if !present {
			return
		}
		set++
		if len(l.setup.Catalogue.Types) > 0 { // else its own fault says it
			l.doc.AddAll(at+"."+key, check(l.setup.Catalogue))
		}
	}
	if s.SQL != nil {
		check(true, "sqldb", s.SQL.Check)
	}
	if s.REST != nil {
		check(true, "rest", s.REST.Check)
	}
	if s.Files != nil {
		check(true, "files", s.Files.Check)
	}
	l.unless(set == 1, at, "say exactly one of sqldb, rest and files")
}

// checkSigners warns where licenses have a source but nobody to sign them.
func (l *loader) checkSigners() {
	for i, s := range l.setup.Sources {
		for _, d := range l.setup.Departments {
			if d.ID == s.Department && d.LicenseKey == "" {
				l.doc.Warn(fmt.Sprintf("$.sources[%d].department", i), "department %s has no license_key: its licenses cannot be released", d.ID)
			}
		}
	}
}
