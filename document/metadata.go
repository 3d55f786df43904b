package document

import (
	"strings"

	"oncegate/certs/ofd"
	"oncegate/license"
	"oncegate/register"
)

// data are claims as metadata (GB/T 36903), after what stands openly in every license. A field without a national short name
// stands on the page alone.
func (m *Maker) data(v register.Version, claims []license.Claim) []ofd.Datum {
	t, _ := m.config.Catalogue.Type(v.Type)
	data := []ofd.Datum{{Name: ofd.Identifier, Value: v.Identifier}, {Name: "ZZLXDM", Value: t.Code}}
	for _, c := range claims {
		field, ok := t.Field(c.Field)
		if !ok || field.Short == "" {
			continue
		}
		data = append(data, ofd.Datum{Name: field.Short, Value: plain(field.Kind, c.Value)})
		if c.Field == license.FieldHolderCodeType {
			if kind, ok := m.config.Catalogue.CodeType(c.Value); ok {
				data = append(data, ofd.Datum{Name: "CZZTDMLX", Value: kind.Name})
			}
		}
	}
	return data
}

// plain is a value as metadata have it: dates are yyyyMMdd.
func plain(kind, value string) string {
	if kind == "date" {
		return strings.ReplaceAll(value, "-", "")
	}
	return value
}
