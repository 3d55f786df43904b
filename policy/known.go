package policy

import "slices"

// The methods below answer whether a name is defined; where nothing is known outside, every name passes.

func (c *checker) system(id string) bool { return c.known == nil || c.known.Systems[id] }

func (c *checker) department(id string) bool { return c.known == nil || c.known.Departments[id] }

func (c *checker) licenseType(id string) bool {
	if c.known == nil {
		return true
	}
	_, ok := c.known.Types[id]
	return ok
}

func (c *checker) matter(code string) bool {
	if c.known == nil {
		return true
	}
	_, ok := c.known.Matters[code]
	return ok
}

// field answers for one license type; a type that is itself unknown is reported once, not with each of its fields.
func (c *checker) field(licenseType string) func(string) bool {
	return func(name string) bool {
		return c.known == nil || !c.licenseType(licenseType) || slices.Contains(c.known.Types[licenseType], name)
	}
}

// anyField answers for guards, which may hold for every type.
func (c *checker) anyField(name string) bool {
	if c.known == nil {
		return true
	}
	for _, fields := range c.known.Types {
		if slices.Contains(fields, name) {
			return true
		}
	}
	return false
}

// role answers whether some matter of a list has the role; no matters: any matter known.
func (c *checker) role(matters []string) func(string) bool {
	return func(name string) bool {
		return name == Applicant || c.someMatter(matters, func(m KnownMatter) bool { return m.Roles[name] })
	}
}

// material answers whether some matter of a list has the material.
func (c *checker) material(matters []string) func(string) bool {
	return func(name string) bool {
		return c.someMatter(matters, func(m KnownMatter) bool { _, ok := m.Materials[name]; return ok })
	}
}

func (c *checker) someMatter(matters []string, has func(KnownMatter) bool) bool {
	if c.known == nil {
		return true
	}
	if len(matters) == 0 {
		for _, m := range c.known.Matters {
			if has(m) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(matters, func(code string) bool { m, ok := c.known.Matters[code]; return ok && has(m) })
}

// operatorRole answers whether some identity service may assert a role of an operator.
func (c *checker) operatorRole(name string) bool {
	if c.known == nil {
		return true
	}
	for _, roles := range c.known.Operators {
		if slices.Contains(roles, name) {
			return true
		}
	}
	return false
}

func (c *checker) ground(name string) bool {
	return name == ByCase || name == ByConsent || c.bases[name]
}
