package config

import (
	"fmt"
	"slices"
	"strings"

	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/fault"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/sheet"
	"oncegate/strictyaml"
)

// readData reads catalogue, matters and calendar, and checks them with one another.
func (l *loader) readData() {
	s := l.setup
	s.Catalogue, s.Book, s.Calendar = &license.Catalogue{}, &cases.Book{}, &cases.Calendar{}
	if doc := l.readNamed("$.data.catalogue", s.Data.Catalogue, s.Catalogue); doc != nil {
		doc.AddAll("$", s.Catalogue.Check())
	}
	if doc := l.readNamed("$.data.calendar", s.Data.Calendar, s.Calendar); doc != nil {
		doc.AddAll("$", s.Calendar.Check())
	}
	if doc := l.matters(); doc != nil {
		doc.AddAll("$", s.Book.Check(s.Catalogue))
		l.checkMatters(doc)
	}
}

// readNamed reads a required file into a value; nil if it could not be read.
func (l *loader) readNamed(at, name string, into any) *strictyaml.Document {
	if name == "" {
		l.doc.Add(at, "%s must name a file", strings.TrimPrefix(at, "$."))
		return nil
	}
	data, ok := l.bytes(at, name)
	if !ok {
		return nil
	}
	return strictyaml.Decode(name, data, limits, into, &l.faults)
}

// matters reads all books of matters as one.
func (l *loader) matters() (whole *strictyaml.Document) {
	book := l.setup.Book
	var lists []string
	l.unless(len(l.setup.Data.Matters) > 0, "$.data.matters", "at least one file of matters is required")
	for i, pattern := range l.setup.Data.Matters {
		at := fmt.Sprintf("$.data.matters[%d]", i)
		for _, name := range l.expand(at, pattern) {
			var one cases.Book
			doc := l.readNamed(at, name, &one)
			if doc == nil {
				continue
			}
			if one.List == "" {
				doc.Add("$.list", "the list id with its version is missing")
			}
			if whole == nil {
				whole = doc
			} else {
				whole.Continue("matters", len(book.Matters), doc)
				whole.Continue("trust", len(book.Trust), doc)
				whole.Continue("verifications", len(book.Verifications), doc)
				whole.Continue("filings", len(book.Filings), doc)
			}
			lists = append(lists, one.List)
			book.Matters = append(book.Matters, one.Matters...)
			book.Trust, book.Verifications, book.Filings = append(book.Trust, one.Trust...), append(book.Verifications, one.Verifications...), append(book.Filings, one.Filings...)
		}
	}
	book.List = strings.Join(lists, " ")
	return whole
}

// checkMatters checks that departments and sources of the matters exist.
func (l *loader) checkMatters(doc *strictyaml.Document) {
	serves := l.served()
	for i, m := range l.setup.Book.Matters {
		at := fmt.Sprintf("$.matters[%d]", i)
		if !l.department(m.Department) {
			doc.Add(at+".department", "there is no department %q", fault.Clip(m.Department))
		}
		for j, material := range m.Materials {
			_, known := l.setup.Catalogue.Type(material.LicenseType)
			if _, served := serves[material.LicenseType]; known && material.FromSource() && !served {
				doc.Warn(fmt.Sprintf("%s.materials[%d].license_type", at, j), "no source has licenses of type %q: the material will always be unavailable", fault.Clip(material.LicenseType))
			}
		}
	}
}

// policy reads grants and guards as one set, and runs the tables of expected decisions.
func (l *loader) policy() {
	files := append(l.policyFiles("grants", l.setup.Data.Grants), l.policyFiles("guards", l.setup.Data.Guards)...)
	l.unless(len(files) > 0, "$.data.grants", "there is no policy file, so everything would be refused")
	set, faults := policy.New(policy.Data{Files: files, NewSM3: sm.New, Known: l.known(), Now: l.now})
	l.addPlaced(faults, false)
	if set == nil || len(faults) > 0 {
		return
	}
	l.setup.Policy = set
	l.addPlaced(set.Warnings(), true)
	l.setup.Tables = l.policyFiles("decisions", l.setup.Data.Decisions)
	for _, table := range l.setup.Tables {
		results, faults := policy.RunTable(set, table)
		l.addPlaced(faults, false)
		for _, r := range results {
			if !r.OK() {
				var unexpected fault.List
				unexpected.AddAt(r.Place, "%s: the decision is not the expected one: %s", r.Name, strings.Join(r.Diff, "; "))
				l.addPlaced(unexpected, true)
			}
		}
	}
}

// holders reads what holders are told, and checks by which services they sign in. The policy must have been read: the rules cite its legal bases.
func (l *loader) holders() {
	s := l.setup
	for i, service := range s.IdentityServices {
		if _, known := s.Catalogue.CodeType(service.Subjects); service.Subjects != "" && len(s.Catalogue.Types) > 0 {
			l.unless(known, fmt.Sprintf("$.identity_services[%d].subjects", i), "the catalogue has no type of holder code %q", fault.Clip(service.Subjects))
		}
	}
	if s.Data.Holders == "" || s.Policy == nil || len(s.Catalogue.Types) == 0 {
		return
	}
	rules := &cases.HolderRules{}
	doc := l.readNamed("$.data.holders", s.Data.Holders, rules)
	if doc == nil {
		return
	}
	doc.AddAll("$", rules.Check(s.Catalogue, cases.Known{
		Basis:  func(id string) bool { _, ok := s.Policy.Basis(id); return ok },
		System: func(id string) bool { return slices.ContainsFunc(s.Systems, func(c System) bool { return c.ID == id }) },
		Matter: func(code string) bool {
			return slices.ContainsFunc(s.Book.Matters, func(m cases.Matter) bool { return m.Code == code })
		},
	}))
	s.Holders = rules
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
					l.doc.Add(at, "%s is named twice", file.Path)
					continue
				}
				files = append(files, file)
			}
		}
	}
	return files
}

// known are the names that a policy may refer to; nil where catalogue or matters could not be read, so that each missing name is not reported again.
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
	k.Operators = map[string][]string{}
	for _, v := range s.IdentityServices {
		for _, system := range v.Systems {
			k.Operators[system] = append(k.Operators[system], v.Roles...)
		}
	}
	for _, t := range s.Catalogue.Types {
		for _, m := range license.Metadata() {
			k.Types[t.ID] = append(k.Types[t.ID], m.Name)
		}
		for _, f := range t.Fields {
			k.Types[t.ID] = append(k.Types[t.ID], f.Name)
		}
	}
	k.Filings = map[string][]string{}
	for _, t := range s.Book.Filings {
		k.Filings[t.ID] = cases.FilingFields()
	}
	for _, l := range s.Book.Trust {
		if l.Reusable {
			k.Trust = append(k.Trust, l.Level)
		}
	}
	for _, m := range s.Book.Matters {
		known := policy.KnownMatter{Roles: map[string]bool{}, Materials: map[string]string{}, Filings: map[string]string{}}
		for _, g := range m.Guardians { // a grant opens the guardian's own license under this role
			if g.Whose() == cases.Guardian {
				known.Roles[cases.Guardian] = true
			}
		}
		for _, r := range m.Roles {
			known.Roles[r.Name] = true
		}
		for _, material := range m.Materials {
			known.Materials[material.Code] = material.LicenseType
			if material.Filing != "" {
				known.Filings[material.Code] = material.Filing
			}
		}
		k.Matters[m.Code] = known
	}
	return k
}

// addPlaced takes over faults of files that were handed on under paths relative to the main file.
func (l *loader) addPlaced(list fault.List, warning bool) {
	for _, f := range list {
		f.Place.File, f.Warning = l.absolute(f.Place.File), warning
		l.faults = append(l.faults, f)
	}
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

// layouts reads the layouts and fonts of documents.
func (l *loader) layouts() {
	var c sheet.Config
	where := map[string]string{} // of a fault's path: the file's name
	for i, pattern := range l.setup.Data.Layouts {
		at := fmt.Sprintf("$.data.layouts[%d]", i)
		for _, name := range l.expand(at, pattern) {
			if data, ok := l.bytes(at, name); ok {
				c.Files = append(c.Files, sheet.File{Path: l.relative(name), Data: data})
			}
		}
	}
	for i, f := range l.setup.Data.Fonts {
		at := fmt.Sprintf("$.data.fonts[%d]", i)
		where[f.Name] = at
		if data, ok := l.bytes(at+".file", f.File); ok {
			c.Fonts = append(c.Fonts, sheet.FontFile{Name: f.Name, Data: data})
		}
	}
	if len(c.Files) == 0 {
		l.unless(len(c.Fonts) == 0, "$.data.fonts", "fonts are for layouts, and there are none")
		return
	}
	catalogue := l.setup.Catalogue
	c.Knows = func(licenseType, field string) bool {
		t, ok := catalogue.Type(licenseType)
		_, has := t.Field(field)
		return !ok || has // of types that no catalogue of this city has, nothing is known
	}
	l.setup.layoutsOf = layoutsOf(c, catalogue)
	if l.was != nil && l.was.Layouts != nil && l.was.layoutsOf == l.setup.layoutsOf {
		l.setup.Layouts = l.was.Layouts // unpacking fonts and laying out takes half of a reload
		return
	}
	layouts, faults := sheet.Load(c)
	for _, f := range faults {
		if at, ok := where[f.Place.File]; ok { // a font
			f.Place = l.doc.At(at)
		}
		l.addPlaced(fault.List{f}, false)
	}
	l.setup.Layouts = layouts
}

// layoutsOf is the cache key of parsed layouts: a digest of everything that they are made from.
func layoutsOf(c sheet.Config, catalogue *license.Catalogue) [sm.DigestSize]byte {
	h := sm.New()
	for _, f := range c.Files {
		fmt.Fprintf(h, "%q %d %s", f.Path, len(f.Data), f.Data)
	}
	for _, f := range c.Fonts {
		fmt.Fprintf(h, "%q %d %s", f.Name, len(f.Data), f.Data)
	}
	fmt.Fprintf(h, "%+v", catalogue.Types)
	return [sm.DigestSize]byte(h.Sum(nil))
}
