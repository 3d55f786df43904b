// Package results is the adapter for the licenses with which cases end (结果证照): the department issues them through the gateway, which
// keeps them sealed in its own database, so that a department without a license system of its own is a source like any other.
package results

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"oncegate/fault"
	"oncegate/license"
)

// Config says which license types the department issues through the gateway. Its fields are the manual.
type Config struct {
	// ID names the source in findings and errors; the house fills it, it is no part of the YAML.
	ID string `yaml:"-"`

	// LicenseTypes are the types, catalogue ids. A case of a matter that names a type in results ends with a license of it (cases.result).
	LicenseTypes []string `yaml:"license_types"`
}

// SetID names the source.
func (c *Config) SetID(id string) { c.ID = id }

// ResolvePaths has no path to resolve.
func (c *Config) ResolvePaths(string) {}

// Types are the license types that the source has.
func (c *Config) Types() []string { return c.LicenseTypes }

// Files are none.
func (c *Config) Files() []string { return nil }

// Secrets are none.
func (c *Config) Secrets() []string { return nil }

// Check reports all faults at once, with paths from "$".
func (c *Config) Check(cat *license.Catalogue) fault.List {
	var f fault.List
	f.Unless(len(c.LicenseTypes) > 0, "$.license_types", "the license types are missing")
	seen := f.Unique()
	for i, id := range c.LicenseTypes {
		path := fmt.Sprintf("$.license_types[%d]", i)
		seen(path, id)
		_, ok := cat.Type(id)
		f.Unless(ok, path, "the catalogue has no license type %q", id)
	}
	return f
}

// Storage reads the licenses that were issued.
//
// Implementations are safe for concurrent use and see every license whose record was answered.
type Storage interface {
	// Results returns the licenses of a type that were issued to a holder, oldest first; empty if there are none.
	Results(ctx context.Context, licenseType string, holder license.HolderID) ([]license.License, error)
}

// A Source finds licenses in the gateway's own database.
type Source struct {
	config  Config
	storage Storage
}

// Open opens a source. It reads nothing yet; a nil storage answers nothing.
func Open(c Config, s Storage) *Source { return &Source{c, s} }

var errClosed = errors.New("the gateway's own database is not open")

// Find answers every question by what was issued: of a license that was issued again under its number, the last.
func (s *Source) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	if s.storage == nil {
		return nil, errClosed
	}
	out := make([]license.Finding, len(r.Questions))
	for i, q := range r.Questions {
		all, err := s.storage.Results(ctx, q.Type, q.Holder)
		if err != nil {
			return nil, err
		}
		out[i].State = license.IsNotFound
		if found := latest(all, q.Number); len(found) > 0 {
			out[i] = license.Finding{State: license.IsFound, Records: found}
		}
	}
	return out, nil
}

// latest keeps of each number the last; number selects one, if it is not empty.
func latest(all []license.License, number string) (found []license.License) {
	for _, l := range all {
		if number != "" && l.Number != number {
			continue
		}
		same := func(o license.License) bool { return o.Number == l.Number && o.Issuer.Code == l.Issuer.Code }
		if i := slices.IndexFunc(found, same); i >= 0 {
			found[i] = l
			continue
		}
		found = append(found, l)
	}
	return found
}

// Check reports whether the source can answer.
func (s *Source) Check(context.Context) error {
	if s.storage == nil {
		return errClosed
	}
	return nil
}

// Close closes nothing: the database is the gateway's.
func (s *Source) Close() error { return nil }
