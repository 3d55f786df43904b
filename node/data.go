package node

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/policy"
)

// data reads catalogue, matters and calendar, and checks them with one another.
func (l *loader) data() {
	s := l.setup
	s.Catalogue, s.Book, s.Calendar = &license.Catalogue{}, &cases.Book{}, &cases.Calendar{}
	if doc := l.named("$.data.catalogue", s.Data.Catalogue, s.Catalogue); doc != nil {
		doc.addAll("$", s.Catalogue.Check())
		l.faults = append(l.faults, doc.faults...)
	}
	if doc := l.named("$.data.calendar", s.Data.Calendar, s.Calendar); doc != nil {
		doc.addAll("$", s.Calendar.Check())
		l.faults = append(l.faults, doc.faults...)
	}
	if doc := l.matters(); doc != nil {
		doc.addAll("$", s.Book.Check(s.Catalogue))
		l.checkMatters(doc)
		l.faults = append(l.faults, doc.faults...)
	}
}

// named reads a required file into a value; nil if it could not be read.
func (l *loader) named(at, name string, into any) *document {
	if name == "" {
		l.doc.add(at, "the file is required")
		return nil
	}
	data, ok := l.bytes(at, name)
	if !ok {
		return nil
	}
	return readDocument(name, data, into)
}

// matters reads all books of matters as one.
func (l *loader) matters() (whole *document) {
	book := l.setup.Book
	var lists []string
	l.unless(len(l.setup.Data.Matters) > 0, "$.data.matters", "at least one file of matters is required")
	for i, pattern := range l.setup.Data.Matters {
		at := fmt.Sprintf("$.data.matters[%d]", i)
		for _, name := range l.expand(at, pattern) {
			var one cases.Book
			doc := l.named(at, name, &one)
			if doc == nil {
				continue
			}
			if one.List == "" {
				doc.add("$.list", "the list id with its version is missing")
			}
			if whole == nil {
				whole = doc
			} else {
				whole.adopt(doc, "matters", len(book.Matters))
				l.faults = append(l.faults, doc.faults...)
			}
			lists = append(lists, one.List)
			book.Matters = append(book.Matters, one.Matters...)
		}
	}
	book.List = strings.Join(lists, " ")
	return whole
}

// checkMatters holds the matters against departments and sources.
func (l *loader) checkMatters(doc *document) {
	serves := l.served()
	for i, m := range l.setup.Book.Matters {
		at := fmt.Sprintf("$.matters[%d]", i)
		if !l.department(m.Department) {
			doc.add(at+".department", "there is no department %q", clip(m.Department))
		}
		for j, material := range m.Materials {
			_, known := l.setup.Catalogue.Type(material.LicenseType)
			if _, served := serves[material.LicenseType]; known && material.FromSource() && !served {
				doc.warn(fmt.Sprintf("%s.materials[%d].license_type", at, j), "no source has licenses of type %q: the material will always be unavailable", clip(material.LicenseType))
			}
		}
	}
}

// policy reads grants and guards as one set, and runs the tables of expected decisions.
func (l *loader) policy() {
	files := append(l.policyFiles("grants", l.setup.Data.Grants), l.policyFiles("guards", l.setup.Data.Guards)...)
	l.unless(len(files) > 0, "$.data.grants", "there is no policy file, so everything would be refused")
	set, faults := policy.New(policy.Data{Files: files, NewSM3: sm.New, Known: l.known(), Now: l.now})
	l.faults = append(l.faults, l.placed(faults, false)...)
	if set == nil || len(faults) > 0 {
		return
	}
	l.setup.Policy = set
	l.faults = append(l.faults, l.placed(set.Warnings(), true)...)
	l.setup.Tables = l.policyFiles("decisions", l.setup.Data.Decisions)
	for _, table := range l.setup.Tables {
		results, faults := policy.RunTable(set, table)
		l.faults = append(l.faults, l.placed(faults, false)...)
		for _, r := range results {
			if !r.OK() {
				l.faults = append(l.faults, l.placed([]license.Fault{{Path: r.Place, Reason: fmt.Sprintf("%s: the decision is not the expected one: %s", r.Name, strings.Join(r.Diff, "; "))}}, true)...)
			}
		}
	}
}

// policyFiles reads the files of one list. Tables that a pattern of grants finds beside them are left out.
func (l *loader) policyFiles(key string, patterns []string) (files []policy.File) {
	for i, pattern := range patterns {
		at := fmt.Sprintf("$.data.%s[%d]", key, i)
		for _, name := range l.expand(at, pattern) {
			if key == "grants" && name != pattern && strings.HasSuffix(name, policy.TableSuffix) {
				continue
			}
			if data, ok := l.bytes(at, name); ok {
				file := policy.File{Path: l.relative(name), Data: data}
				if slices.ContainsFunc(files, func(f policy.File) bool { return f.Path == file.Path }) {
					l.doc.add(at, "%s is named twice", file.Path)
					continue
				}
				files = append(files, file)
			}
		}
	}
	return files
}

// known are the names that a policy may use; nil where they could not be read, so that their lack is reported once.
func (l *loader) known() *policy.Known {
	s := l.setup
	if len(s.Catalogue.Types) == 0 || len(s.Book.Matters) == 0 {
		return nil
	}
	k := &policy.Known{Departments: map[string]bool{}, Systems: map[string]bool{}, Types: map[string][]string{}, Matters: map[string]policy.KnownMatter{}}
	for _, d := range s.Departments {
		k.Departments[d.ID] = true
	}
	for _, c := range s.Systems {
		k.Systems[c.ID] = true
	}
	for _, t := range s.Catalogue.Types {
		for _, m := range license.Metadata() {
			k.Types[t.ID] = append(k.Types[t.ID], m.Name)
		}
		for _, f := range t.Fields {
			k.Types[t.ID] = append(k.Types[t.ID], f.Name)
		}
	}
	for _, m := range s.Book.Matters {
		known := policy.KnownMatter{Roles: map[string]bool{}, Materials: map[string]string{}}
		for _, r := range m.Roles {
			known.Roles[r.Name] = true
		}
		for _, material := range m.Materials {
			known.Materials[material.Code] = material.LicenseType
		}
		k.Matters[m.Code] = known
	}
	return k
}

// placed reads the places that policy writes, "file:line:column" with the file relative to the main one.
func (l *loader) placed(list []license.Fault, warning bool) (faults Faults) {
	for _, f := range list {
		fault := l.placedOne(f.Path, f.Reason)
		fault.Warning = warning
		faults = append(faults, fault)
	}
	return faults
}

func (l *loader) placedOne(path, reason string) Fault {
	fault := Fault{File: path, Reason: reason}
	parts := strings.Split(path, ":")
	if n := len(parts); n >= 3 {
		fault.File = strings.Join(parts[:n-2], ":")
		fault.Line, _ = strconv.Atoi(parts[n-2])
		fault.Column, _ = strconv.Atoi(parts[n-1])
	}
	fault.File = l.absolute(fault.File)
	return fault
}

// absolute undoes relative.
func (l *loader) absolute(name string) string {
	for i, f := range l.read {
		if f.Path == name {
			return l.setup.Files[i]
		}
	}
	return name
}
