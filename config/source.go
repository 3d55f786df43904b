package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"oncegate/adapters/files"
	"oncegate/adapters/rest"
	"oncegate/adapters/results"
	"oncegate/adapters/sqldb"
	"oncegate/certs/keystore"
	"oncegate/certs/token"
	"oncegate/fault"
	resilient "oncegate/gateway/sources"
	"oncegate/license"
)

// An AdapterConfig is the configuration of one source: what every kind of adapter brings.
type AdapterConfig interface {
	// SetID names the source, in findings and errors.
	SetID(id string)
	// ResolvePaths makes relative paths, those of secrets too, relative to the folder of the file that they stand in.
	ResolvePaths(dir string)
	// Types are the license types that the source has.
	Types() []string
	// Files are the files that opening it reads, secrets and certificates, and the folders that must be there.
	Files() []string
	// Secrets are the files that only the gateway's account should read: secrets, keys, databases.
	Secrets() []string
	// Check reports all faults at once, with paths from "$", the configuration itself. It opens nothing.
	Check(*license.Catalogue) fault.List
}

// An Adapter is an open source: it reaches one legacy system.
type Adapter interface {
	resilient.Source
	Check(ctx context.Context) error // whether it can answer now
	Close() error
}

// A Kind is a way to reach legacy systems. Adding one is a folder under adapters and a row in kinds.
type Kind struct {
	Key  string // under which its configuration stands in a source
	Doc  string // for the manual
	Drop bool   // it answers from files that were dropped, not from a live system

	make func() AdapterConfig
	open func(AdapterConfig, *Setup, OpenSource) (Adapter, error)
}

// Kinds are all kinds of adapters, in the order of the manual.
func Kinds() []Kind { return slices.Clone(kinds) }

var kinds = []Kind{
	kind("sqldb", "a SQL database", false, func(c *sqldb.Config, s *Setup, o OpenSource) (Adapter, error) {
		return sqldb.Open(*c, s.Catalogue, sqldb.Deps{Now: o.Now})
	}),
	kind("rest", "a JSON interface over HTTP", false, func(c *rest.Config, s *Setup, o OpenSource) (Adapter, error) {
		return rest.Open(*c, s.Catalogue, rest.Deps{Now: o.Now, Sign: s.requestSigner(c.ID, o.Now)})
	}),
	kind("files", "CSV files or XLSX workbooks dropped into a folder", true, func(c *files.Config, s *Setup, o OpenSource) (Adapter, error) {
		return files.Open(*c, s.Catalogue, files.Deps{Now: o.Now, Changed: func(st files.Status) { logDrop(o.Logger, c.ID, st) }})
	}),
	kind("results", "licenses with which the department's cases end (结果证照), issued through the gateway and kept sealed in its database", false, func(c *results.Config, s *Setup, o OpenSource) (Adapter, error) {
		return results.Open(*c, o.Results), nil
	}),
}

func kind[C any, P interface {
	*C
	AdapterConfig
}](key, doc string, drop bool, open func(P, *Setup, OpenSource) (Adapter, error)) Kind {
	return Kind{
		Key: key, Doc: doc, Drop: drop, make: func() AdapterConfig { return P(new(C)) },
		open: func(c AdapterConfig, s *Setup, o OpenSource) (Adapter, error) { return open(c.(P), s, o) },
	}
}

// An AdapterChoice is the configuration of a source's adapter, under the key of its kind. It implements strictyaml.Variants.
type AdapterChoice struct{ byKey map[string]AdapterConfig } // one, in a checked configuration

// Keys implements strictyaml.Variants.
func (*AdapterChoice) Keys() (keys []string) {
	for _, k := range kinds {
		keys = append(keys, k.Key)
	}
	return keys
}

// Into implements strictyaml.Variants.
func (a *AdapterChoice) Into(key string) any {
	if a.byKey == nil {
		a.byKey = map[string]AdapterConfig{}
	}
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Key == key })
	a.byKey[key] = kinds[i].make()
	return a.byKey[key]
}

// Config is the adapter's configuration, with its kind; nil where none is named.
func (a AdapterChoice) Config() (Kind, AdapterConfig) {
	for _, k := range kinds {
		if c := a.byKey[k.Key]; c != nil {
			return k, c
		}
	}
	return Kind{}, nil
}

func (s *Source) resolvePaths(dir string) {
	for _, c := range s.Adapter.byKey {
		c.SetID(s.ID)
		c.ResolvePaths(dir)
	}
}

// types are the license types that a source has.
func (s Source) types() (list []string) {
	for _, k := range kinds {
		if c := s.Adapter.byKey[k.Key]; c != nil {
			list = append(list, c.Types()...)
		}
	}
	return list
}

// OpenSource is what an adapter is opened with.
type OpenSource struct {
	Now    func() time.Time
	Logger *slog.Logger

	// Results reads the licenses that were issued here; nil: the database is not open, and such a source answers nothing.
	Results results.Storage
}

// IssuedHere reports whether the source's licenses are issued through the gateway, which keeps them itself (kind results).
func (s Source) IssuedHere() bool {
	_, adapter := s.Adapter.Config()
	_, ours := adapter.(*results.Config)
	return ours
}

// Open opens a source of a checked configuration.
func (o OpenSource) Open(c Source, s *Setup) (Adapter, error) {
	k, config := c.Adapter.Config()
	if config == nil {
		return nil, fmt.Errorf("open source %s: no adapter is named", c.ID)
	}
	return k.open(config, s, o)
}

// requestSigner signs our own requests to a legacy system, as the gateway, for the source's id. Nil where there is no key.
func (s *Setup) requestSigner(id string, now func() time.Time) func(ctx context.Context, method, url string, body []byte) (string, error) {
	if s.Keys == nil {
		return nil
	}
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

// logDrop says what became of a drop.
func logDrop(logger *slog.Logger, id string, st files.Status) {
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

// served says which source has a license type.
func (l *loader) served() map[string]string {
	serves := map[string]string{}
	for _, s := range l.setup.Sources {
		for _, t := range s.types() {
			if _, taken := serves[t]; !taken && t != "" {
				serves[t] = s.ID
			}
		}
	}
	return serves
}

// checkSources checks every source, and that no two have the same license type.
func (l *loader) checkSources() {
	l.setup.Serves = l.served()
	ids := l.unique()
	first := map[string]string{} // license type → where
	for i, s := range l.setup.Sources {
		at := fmt.Sprintf("$.sources[%d]", i)
		ids(at+".id", s.ID)
		l.unless(idForm.MatchString(s.ID), at+".id", "the id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
		l.unless(l.department(s.Department), at+".department", "there is no department %q", fault.Clip(s.Department))
		l.unless(s.Concurrent >= 0 && s.Failures >= 0, at, "bounds may not be negative")
		if call := l.setup.Limits.CallTimeout(); cmp.Or(time.Duration(s.Deadline), defaultDeadline) >= call {
			l.warn(at, "the source's deadline is not shorter than limits.call, %s: when the source hangs, calls end before it is found out", call)
		}
		l.checkAdapter(at, s)
		for _, t := range s.types() {
			if before, taken := first[t]; taken && before != s.ID {
				l.doc.Add(at, "licenses of type %q come from source %s already; a type has one source", fault.Clip(t), before)
			} else if t != "" {
				first[t] = s.ID
			}
		}
	}
	l.checkSigners()
}

func (l *loader) checkAdapter(at string, s Source) {
	for key, c := range s.Adapter.byKey {
		if len(l.setup.Catalogue.Types) > 0 { // else its own fault says it
			l.doc.AddAll(at+"."+key, c.Check(l.setup.Catalogue))
		}
	}
	keys := s.Adapter.Keys()
	l.unless(len(s.Adapter.byKey) == 1, at, "say exactly one of %s and %s", strings.Join(keys[:len(keys)-1], ", "), keys[len(keys)-1])
}

// checkSigners warns where licenses have a source but nobody to sign them.
func (l *loader) checkSigners() {
	for i, s := range l.setup.Sources {
		for _, d := range l.setup.Departments {
			if d.ID == s.Department && d.LicenseKey == "" {
				l.doc.Warn(fmt.Sprintf("$.sources[%d].department", i), "department %s has no license_key: its licenses cannot be released", d.ID)
			}
		}
	}
}

// A lister is a source that knows all holders it has licenses of.
type lister interface {
	// Holders returns them, sorted, each once.
	Holders() ([]license.HolderID, error)
}

// SourceHolders lists the holders that a source of a configuration has licenses of a type of. The error is a fault.List where the
// configuration is unusable.
func SourceHolders(ctx context.Context, path, source, licenseType string) (list []license.HolderID, err error) {
	setup, faults := Load(path, time.Now())
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if setup.Keys == nil {
		return nil, setup.KeysErr
	}
	i := slices.IndexFunc(setup.Sources, func(s Source) bool { return s.ID == source && slices.Contains(s.types(), licenseType) })
	if i < 0 {
		return nil, fmt.Errorf("list holders: the configuration has no source %s with licenses of type %s", source, licenseType)
	}
	a, err := OpenSource{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}.Open(setup.Sources[i], setup)
	if err != nil {
		return nil, fmt.Errorf("list holders: %w", err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	l, ok := a.(lister)
	if !ok {
		return nil, fmt.Errorf("list holders: source %s answers about one holder at a time; name them with --holders FILE", source)
	}
	if list, err = l.Holders(); err != nil {
		return nil, fmt.Errorf("list holders: %w", err)
	}
	return list, nil
}
