package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"oncegate/adapters/files"
	"oncegate/adapters/rest"
	"oncegate/adapters/sqldb"
	"oncegate/certs/keystore"
	"oncegate/certs/token"
	resilient "oncegate/gateway/sources"
	"oncegate/license"
)

// An adapter reaches one legacy system.
type adapter interface {
	resilient.Source
	Check(ctx context.Context) error // whether it can answer now
	Close() error
}

// A source is an adapter with what it was opened by.
type source struct {
	config    Source
	catalogue *license.Catalogue
	adapter
}

// sources are the opened sources of a snapshot, by id.
type sources map[string]*source

// open opens the sources of a setup. One whose configuration and catalogue did not change is taken over from old. When it
// fails, nothing stays open that was not before.
func (old sources) open(s *Setup, logger *slog.Logger, now func() time.Time) (_ sources, err error) {
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
		a, err := openSource(c, s, logger, now)
		if err != nil {
			return nil, err
		}
		opened[c.ID] = &source{c, s.Catalogue, a}
	}
	return opened, nil
}

func openSource(c Source, s *Setup, logger *slog.Logger, now func() time.Time) (adapter, error) {
	switch {
	case c.SQL != nil:
		return sqldb.Open(*c.SQL, s.Catalogue, sqldb.Deps{Now: now})
	case c.REST != nil:
		return rest.Open(*c.REST, s.Catalogue, rest.Deps{Now: now, Sign: s.signFor(c.ID, now)})
	case c.Files != nil:
		return files.Open(*c.Files, s.Catalogue, files.Deps{Now: now, Changed: func(st files.Status) { tellDrop(logger, c.ID, st) }})
	}
	return nil, fmt.Errorf("open source %s: no adapter is named", c.ID)
}

// signFor signs our own requests to a legacy system, as the gateway, for the source's id. Nil where there is no key.
func (s *Setup) signFor(id string, now func() time.Time) func(ctx context.Context, method, url string, body []byte) (string, error) {
	signer, err := s.Keys.Signer(keystore.Call, s.Gateway.ID)
	if err != nil {
		return nil
	}
	return func(ctx context.Context, method, url string, body []byte) (string, error) {
		at := now()
		rid, err := token.NewID(at, nil)
		if err != nil {
			return "", err
		}
		return token.Sign(ctx, signer, token.Claims{
			Issuer: s.Gateway.ID, Audience: id, Method: method, URL: url, Body: token.BodyDigest(body), Operator: s.Gateway.ID, Request: rid,
		}, at)
	}
}

// tellDrop says what became of a drop.
func tellDrop(logger *slog.Logger, id string, st files.Status) {
	switch {
	case st.Err != nil:
		logger.Error("the drop folder cannot be read", "source", id, "error", st.Err.Error())
	case st.Refused != nil:
		logger.Error("a drop was refused; the one before goes on serving", "source", id, "refused", st.Refused.Drop, "line", st.Refused.Line,
			"reason", st.Refused.Reason, "serving", st.Drop)
	default:
		logger.Info("a drop was taken", "source", id, "drop", st.Drop, "rows", st.Rows, "licenses", st.Licenses, "as_of", st.AsOf)
	}
}

// without returns those that are not in kept.
func (s sources) without(kept sources) sources {
	rest := make(sources)
	for id, one := range s {
		if k := kept[id]; k == nil || k.adapter != one.adapter {
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
func (s sources) configs(setup *Setup) (list []resilient.Config) {
	for _, c := range setup.Sources {
		kind := "live"
		if c.Files != nil {
			kind = "drop"
		}
		list = append(list, resilient.Config{
			ID: c.ID, Department: c.Department, Kind: kind, Deadline: time.Duration(c.Deadline), Concurrent: c.Concurrent,
			Failures: c.Failures, Cooldown: time.Duration(c.Cooldown), Source: s[c.ID].adapter,
		})
	}
	return list
}
