package cases

import (
	"slices"
	"sync/atomic"

	"oncegate/license"
)

// A Book is the list of matters a city knows: data with a list id and version, never code. Codes must not change after the first
// look-up; a matter may be appended. A Book must not be copied.
type Book struct {
	List    string   `yaml:"list"`    // list id with version, such as "example-city-matters/2026-11"
	Matters []Matter `yaml:"matters"` //

	index atomic.Pointer[matterIndex]
}

// A matterIndex finds a matter by its code.
type matterIndex struct {
	at   map[string]int // the first of a code
	size int            // how many matters there were
}

// Routes (免提交) of a material.
const (
	RouteLicense = "license" // 电子证照
	RouteData    = "data"    // 数据共享
	RoutePromise = "promise" // 告知承诺
	RouteUpload  = "upload"  // 申请人提交
)

// Kinds of fallback.
const (
	FallTolerate = "tolerate" // 容缺: the case goes on, the material follows
	FallPromise  = "promise"  // 告知承诺: the applicant promises in writing
	FallUpload   = "upload"   // 申请人提交
)

// Matter returns the matter with a code.
func (b *Book) Matter(code string) (Matter, bool) {
	index := b.index.Load()
	if index == nil || index.size != len(b.Matters) {
		index = &matterIndex{at: make(map[string]int, len(b.Matters)), size: len(b.Matters)}
		for i := range b.Matters {
			if _, twice := index.at[b.Matters[i].Code]; !twice {
				index.at[b.Matters[i].Code] = i
			}
		}
		b.index.Store(index)
	}
	at, ok := index.at[code]
	if !ok {
		return Matter{}, false
	}
	return b.Matters[at], true
}

// MattersOf returns the matters a case is about: its own, or for a chain those of its parts in the chain's order. A chain
// case that names no parts is about all of them. Codes the book does not know are left out.
func (b *Book) MattersOf(c Case) []Matter {
	m, ok := b.Matter(c.Matter)
	if !ok {
		return nil
	}
	if !m.IsChain() {
		return []Matter{m}
	}
	var matters []Matter
	for _, code := range m.Chain {
		named := len(c.Parts) == 0 || slices.Contains(c.Parts, Part{code})
		if part, ok := b.Matter(code); ok && named {
			matters = append(matters, part)
		}
	}
	return matters
}

// IsChain reports whether the matter is a chain of others (一件事).
func (m Matter) IsChain() bool { return len(m.Chain) > 0 }

// Material returns the material with a code.
func (m Matter) Material(code string) (Material, bool) {
	for _, material := range m.Materials {
		if material.Code == code {
			return material, true
		}
	}
	return Material{}, false
}

// Role returns the role with a name; the applicant is none.
func (m Matter) Role(name string) (Role, bool) {
	for _, role := range m.Roles {
		if role.Name == name {
			return role, true
		}
	}
	return Role{}, false
}

// HolderRole returns the role whose license the material is; a material that names none is the applicant's.
func (m Material) HolderRole() string {
	if m.Role == "" {
		return Applicant
	}
	return m.Role
}

// FromSource reports whether a source can be asked for the material at all.
func (m Material) FromSource() bool { return m.Route == RouteLicense || m.Route == RouteData }

// Counts reports whether the material counts as required in the reuse rate.
func (n Need) Counts() bool { return n == Required || n == Tolerable }

// InRole returns the case's parties in a role, in their order.
func (c Case) InRole(role string) []Party {
	var parties []Party
	for _, p := range c.Parties {
		if p.Role == role {
			parties = append(parties, p)
		}
	}
	return parties
}

// IsOpen reports whether the case is open.
func (c Case) IsOpen() bool { return c.Closed.IsZero() }

// RolesOf returns the roles that a holder has in the case, in the parties' order.
func (c Case) RolesOf(holder license.HolderID) []string {
	var roles []string
	for _, p := range c.Parties {
		if p.Holder.Normal() == holder.Normal() {
			roles = append(roles, p.Role)
		}
	}
	return roles
}
