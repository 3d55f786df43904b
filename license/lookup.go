package license

import "fmt"

// Type returns the type with a catalogue id.
func (c *Catalogue) Type(id string) (Type, bool) {
	for i := range c.Types {
		if c.Types[i].ID == id {
			return c.Types[i], true
		}
	}
	return Type{}, false
}

// TypeByCode returns the type with a national or local type code.
func (c *Catalogue) TypeByCode(code string) (Type, bool) {
	for i := range c.Types {
		if code != "" && c.Types[i].Code == code {
			return c.Types[i], true
		}
	}
	return Type{}, false
}

// CodeType returns a holder code type. A catalogue that lists none uses the national list.
func (c *Catalogue) CodeType(code string) (CodeType, bool) {
	list := c.HolderCodes
	if len(list) == 0 {
		list = HolderCodes()
	}
	for _, entry := range list {
		if entry.Code == code {
			return entry, true
		}
	}
	return CodeType{}, false
}

// CanHold reports whether a license of a type can be held under a code of a type: natural persons (HolderCategory "1") have no code of
// an organisation (001, 099), and legal persons ("2") no code of a person. Of types that the catalogue or the national list does not
// know nothing is certain, so that they can.
func (c *Catalogue) CanHold(licenseType, codeType string) bool {
	t, _ := c.Type(licenseType)
	switch t.HolderCategory {
	case "1":
		return !oneOf(codeType, "001", "099")
	case "2":
		return !oneOf(codeType, "111", "114", "115", "118", "119", "120", "122", "411", "412", "413", "414", "511", "516", "999")
	}
	return true
}

// CheckHolder checks a holder's code by the rule of its code type. The error wraps a Reason and names nobody.
func (c *Catalogue) CheckHolder(h HolderID) error {
	kind, ok := c.CodeType(h.Type)
	if !ok {
		return fmt.Errorf("check holder code: %w", UnknownCode)
	}
	if err := CheckCode(kind.Check, h.Code); err != nil {
		return fmt.Errorf("check holder code: %w", err)
	}
	return nil
}

// Field returns the dictionary entry of one of the type's own or of the common fields.
func (t Type) Field(name string) (Field, bool) {
	for _, f := range t.Fields {
		if f.Name == name {
			return f, true
		}
	}
	if m, ok := FindMetadatum(name); ok && m.Name == name {
		return m.Field, true
	}
	return Field{}, false
}

// Grantable returns the names a grant may give of this type: the common ones that do not stand openly in every license,
// then the type's own, in the order of claims.
func (t Type) Grantable() []string {
	var names []string
	for _, m := range metadata {
		if !m.Always {
			names = append(names, m.Name)
		}
	}
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return names
}
