package node

import (
	"errors"
	"log/slog"
	"reflect"
	"time"

	"oncegate/adapters/results"
	"oncegate/certs/sm"
	"oncegate/config"
	resilient "oncegate/gateway/sources"
	"oncegate/license"
)

// A source is an adapter with what it was opened by.
type source struct {
	config    config.Source
	catalogue *license.Catalogue
	material  string // digest of its secrets and certificates
	config.Adapter
}

// unchanged reports whether a source was opened by this configuration, catalogue and material. A nil source never was.
func (s *source) unchanged(c config.Source, catalogue *license.Catalogue, material string) bool {
	return s != nil && s.material == material && reflect.DeepEqual(s.config, c) && reflect.DeepEqual(s.catalogue, catalogue)
}

// materialOf is a digest of the files that opening a source reads: a password that was changed in its file is a changed source. What cannot
// be read counts as absent: opening says why.
func materialOf(c config.Source) string {
	h := sm.New()
	if _, adapter := c.Adapter.Config(); adapter != nil {
		for _, name := range adapter.Files() {
			data, _ := config.ReadFile(name) // of a folder there is nothing to read
			content := sm.Digest(data)
			h.Write(content[:])
		}
	}
	return string(h.Sum(nil))
}

// sources are the opened sources of a snapshot, by id.
type sources map[string]*source

// current reports whether all sources are open as they stand in a setup, with the secrets that stand in their files now.
func (s sources) current(setup *config.Setup) bool {
	for _, c := range setup.Sources {
		if !s[c.ID].unchanged(c, setup.Catalogue, materialOf(c)) {
			return false
		}
	}
	return len(s) == len(setup.Sources)
}

// open opens the sources of a setup. One whose configuration, catalogue and secrets did not change is taken over from old. When
// it fails, nothing stays open that was not before.
func (old sources) open(s *config.Setup, logger *slog.Logger, now func() time.Time, issued results.Storage) (_ sources, err error) {
	opened := make(sources, len(s.Sources))
	defer func() {
		if err != nil {
			opened.without(old).close()
		}
	}()
	for _, c := range s.Sources {
		material := materialOf(c)
		if was := old[c.ID]; was.unchanged(c, s.Catalogue, material) {
			opened[c.ID] = was
			continue
		}
		a, err := config.OpenSource{Now: now, Logger: logger, Results: issued}.Open(c, s)
		if err != nil {
			return nil, err
		}
		opened[c.ID] = &source{c, s.Catalogue, material, a}
	}
	return opened, nil
}

// without returns those that are not in kept.
func (s sources) without(kept sources) sources {
	rest := make(sources)
	for id, one := range s {
		if k := kept[id]; k == nil || k.Adapter != one.Adapter {
			rest[id] = one
		}
	}
	return rest
}

// retire ends the connections that no call uses, where a source keeps some, so that an old login is given up before the last call by it.
func (s sources) retire() sources {
	for _, one := range s {
		if r, ok := one.Adapter.(interface{ Retire() }); ok {
			r.Retire()
		}
	}
	return s
}

func (s sources) close() error {
	var all []error
	for _, one := range s {
		all = append(all, one.Close())
	}
	return errors.Join(all...)
}

// issuing are the sources whose licenses are issued here.
func issuing(setup *config.Setup) map[string]bool {
	ids := map[string]bool{}
	for _, c := range setup.Sources {
		if c.IssuedHere() {
			ids[c.ID] = true
		}
	}
	return ids
}

// configs are the sources as the gateway takes them.
func (s sources) configs(setup *config.Setup) (list []resilient.Config) {
	for _, c := range setup.Sources {
		kind := "live"
		if k, _ := c.Adapter.Config(); k.Drop {
			kind = "drop"
		}
		list = append(list, resilient.Config{
			ID: c.ID, Department: c.Department, Kind: kind, Deadline: time.Duration(c.Deadline), Concurrent: c.Concurrent,
			Failures: c.Failures, Cooldown: time.Duration(c.Cooldown), Source: s[c.ID].Adapter,
		})
	}
	return list
}
