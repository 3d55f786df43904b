package node

import (
	"errors"
	"log/slog"
	"reflect"
	"time"

	"oncegate/config"
	resilient "oncegate/gateway/sources"
	"oncegate/license"
)

// A source is an adapter with what it was opened by.
type source struct {
	config    config.Source
	catalogue *license.Catalogue
	config.Adapter
}

// sources are the opened sources of a snapshot, by id.
type sources map[string]*source

// open opens the sources of a setup. One whose configuration and catalogue did not change is taken over from old. When it
// fails, nothing stays open that was not before.
func (old sources) open(s *config.Setup, logger *slog.Logger, now func() time.Time) (_ sources, err error) {
	opened := make(sources, len(s.Sources))
	defer func() {
		if err != nil {
			opened.without(old).close()
		}
	}()
	for _, c := range s.Sources {
		if was := old[c.ID]; was != nil && reflect.DeepEqual(was.config, c) && reflect.DeepEqual(was.catalogue, s.Catalogue) {
			opened[c.ID] = was
			continue
		}
		a, err := config.OpenSource{Now: now, Logger: logger}.Open(c, s)
		if err != nil {
			return nil, err
		}
		opened[c.ID] = &source{c, s.Catalogue, a}
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

func (s sources) close() error {
	var all []error
	for _, one := range s {
		all = append(all, one.Close())
	}
	return errors.Join(all...)
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
