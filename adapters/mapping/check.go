package mapping

import (
	"slices"

	"oncegate/fault"
	"oncegate/license"
)

// Check reports everything wrong with the record at once; paths start at "$", the record itself.
func (r Record) Check(c *license.Catalogue) fault.List {
	f := &fault.List{}
	t, ok := c.Type(r.Type)
	if !ok {
		f.Add("$.type", "no such license type in the catalogue")
	}
	for _, e := range r.values() {
		e.value.check(f, e.path)
	}
	for _, e := range []placed{
		{"number", r.Number}, {"issuer.name", r.Issuer.Name}, {"issuer.code", r.Issuer.Code}, {"status", r.Status},
		{"holders.code", r.Holders.Code}, {"holders.name", r.Holders.Name}, {"holders.type", r.Holders.Type},
	} {
		if !e.value.set() {
			f.Add("$."+e.path, "required: say from which column it comes, or its constant")
		}
	}
	r.checkPlaces(f)
	r.checkStatus(f)
	r.checkHolders(f, c)
	if ok {
		r.checkFields(f, t)
	}
	return *f
}

func (v Value) check(f *fault.List, path string) {
	if v.From != "" && v.Const != "" {
		f.Add("$."+path, "has both from and const; keep one")
	}
	if v.From == "" && (v.Codes != nil || v.Default != nil || v.Layouts != nil || v.Absent != nil || v.Optional) {
		f.Add("$."+path, "codes, default, layouts, absent and optional need from")
	}
	if v.Default != nil && v.Codes == nil {
		f.Add("$."+path+".default", "a default needs codes")
	}
	for i, layout := range v.Layouts {
		if reason := checkLayout(layout); reason != "" {
			f.Add("$."+path+".layouts["+itoa(i)+"]", "%s", reason)
		}
	}
	switch months := slices.ContainsFunc(v.Layouts, isMonth); {
	case v.Day != "" && v.Day != firstDay && v.Day != lastDay:
		f.Add("$."+path+".day", `expected "first" or "last"`)
	case months && v.Day == "":
		f.Add("$."+path+".day", "required: which day of the month a layout without a day means, first or last")
	case !months && v.Day != "":
		f.Add("$."+path+".day", "day belongs to layouts without a day, such as yyyyMM")
	}
}

// checkPlaces finds settings that would have no effect where they stand.
func (r Record) checkPlaces(f *fault.List) {
	dates := []string{"issued", "valid_from", "valid_to"}
	for _, e := range r.values() {
		isField := len(e.path) > 7 && e.path[:7] == "fields."
		if len(e.value.Layouts) > 0 && !isField && !slices.Contains(dates, e.path) {
			f.Add("$."+e.path+".layouts", "layouts belong to dates only")
		}
		if len(e.value.Unlimited) > 0 && e.path != "valid_to" {
			f.Add("$."+e.path+".unlimited", "unlimited belongs to valid_to only")
		}
		if e.value.Codes != nil && slices.Contains(dates, e.path) {
			f.Add("$."+e.path+".codes", "a date has layouts, not codes")
		}
	}
	for _, e := range []placed{{"issued", r.Issued}, {"valid_from", r.ValidFrom}, {"valid_to", r.ValidTo}} {
		if _, err := (Value{Const: e.value.Const}).date(nil); err != nil {
			f.Add("$."+e.path+".const", "not a day in the form yyyy-MM-dd")
		}
	}
}

func (r Record) checkStatus(f *fault.List) {
	v := r.Status
	if v.Default != nil {
		f.Add("$.status.default", "an unknown status is never guessed; leave the default out")
	}
	if v.From != "" && v.Codes == nil {
		f.Add("$.status.codes", "required: which of the source's codes means which of ours")
	}
	if v.From != "" && v.List == "" {
		f.Add("$.status.list", "required: id and version of the source's status list")
	}
	if v.Const != "" && !slices.Contains(license.Statuses(), license.Status(v.Const)) {
		f.Add("$.status.const", "unknown status; expected valid, suspended, revoked, superseded or expired")
	}
	for _, code := range sortedKeys(v.Codes) {
		if !slices.Contains(license.Statuses(), license.Status(v.Codes[code])) {
			f.Add("$.status.codes."+code, "unknown status; expected valid, suspended, revoked, superseded or expired")
		}
	}
}

func (r Record) checkHolders(f *fault.List, c *license.Catalogue) {
	v := r.Holders.Type
	known := func(path, code string) {
		if _, ok := c.CodeType(code); !ok {
			f.Add("$."+path, "no such holder code type in the catalogue")
		}
	}
	if v.Const != "" {
		known("holders.type.const", v.Const)
		if !c.CanHold(r.Type, v.Const) {
			f.Add("$.holders.type.const", "the catalogue's holder_category says that no license of this type is held under such a code")
		}
	}
	if v.Default != nil {
		f.Add("$.holders.type.default", "a holder's code type is never guessed; leave the default out")
	}
	seen := map[string]bool{}
	for _, local := range sortedKeys(v.Codes) {
		national := v.Codes[local]
		known("holders.type.codes."+local, national)
		if seen[national] {
			f.Add("$.holders.type.codes."+local, "a second local code for %s; a question could name only one", national)
		}
		seen[national] = true
	}
}

func (r Record) checkFields(f *fault.List, t license.Type) {
	for _, name := range sortedKeys(r.Fields) {
		i := slices.IndexFunc(t.Fields, func(d license.Field) bool { return d.Name == name })
		switch v := r.Fields[name]; {
		case i < 0:
			f.Add("$.fields."+name, "the type has no such field")
		case !v.set():
			f.Add("$.fields."+name, "say from which column it comes, or its constant")
		case t.Fields[i].Kind != "date" && len(v.Layouts) > 0:
			f.Add("$.fields."+name+".layouts", "layouts belong to dates only")
		case t.Fields[i].Kind == "date" && v.Codes != nil:
			f.Add("$.fields."+name+".codes", "a date has layouts, not codes")
		}
	}
	for _, d := range t.Fields {
		if _, ok := r.Fields[d.Name]; d.Required && !ok {
			f.Add("$.fields", "required field %s is not mapped", d.Name)
		}
	}
}
