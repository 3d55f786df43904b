package gateway

import (
	"context"

	"oncegate/api"
	"oncegate/license"
)

// types lists the license types of the catalogue (GET /v1/catalog/types).
func (g *Gateway) types(_ context.Context, c *call, _ struct{}) (*result, error) {
	answer := api.TypesAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, List: c.config.Catalogue.List, Types: []api.CatalogType{}}
	for _, t := range c.config.Catalogue.Types {
		answer.Types = append(answer.Types, catalogType(t))
	}
	return &result{answer: answer}, nil
}

func catalogType(t license.Type) api.CatalogType {
	out := api.CatalogType{ID: t.ID, Code: t.Code, Name: t.Name, NameEn: t.NameEN, HolderCategory: t.HolderCategory, Fields: []api.CatalogField{}}
	for _, f := range t.Fields {
		out.Fields = append(out.Fields, api.CatalogField{
			Name: f.Name, Title: f.Title, TitleEn: f.TitleEN, Kind: f.Kind, Required: f.Required, PerHolder: f.PerHolder, Sensitive: f.Sensitive,
		})
	}
	return out
}

// matters lists the matters of the book with their materials (GET /v1/catalog/matters).
func (g *Gateway) matters(_ context.Context, c *call, _ struct{}) (*result, error) {
	answer := api.MattersAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Matters: []api.CatalogMatter{}}
	for _, m := range c.config.Book.Matters {
		out := api.CatalogMatter{
			Code: m.Code, Name: m.Name, NameEn: m.NameEN, Department: m.Department, Roles: []string{}, Materials: []api.CatalogMaterial{}, Chain: m.Chain,
		}
		for _, r := range m.Roles {
			out.Roles = append(out.Roles, r.Name)
		}
		for _, k := range m.Materials {
			out.Materials = append(out.Materials, api.CatalogMaterial{
				Code: k.Code, Name: k.Name, NameEn: k.NameEN, Need: int(k.Need), Route: k.Route, LicenseType: k.LicenseType, Role: k.Role,
				Fallback: api.CatalogFallback{Kind: api.FallbackKind(k.Fallback.Kind), Days: k.Fallback.Days},
			})
		}
		answer.Matters = append(answer.Matters, out)
	}
	return &result{answer: answer}, nil
}
