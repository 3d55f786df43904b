package node

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"oncegate/adapters/secret"
	lognote "oncegate/certs/note"
)

// settle makes every path of a configuration relative to the folder of the file it stands in.
func (c *Config) settle(dir string) {
	from := func(paths ...*string) {
		for _, p := range paths {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(dir, filepath.FromSlash(*p))
			}
		}
	}
	all := func(lists ...[]string) {
		for _, list := range lists {
			for i := range list {
				from(&list[i])
			}
		}
	}
	from(&c.Gateway.TLS.Certificate, &c.Gateway.TLS.Key, &c.Store.Path, &c.Store.DSNFile, &c.Log.Mark, &c.Keys.Dir, &c.Keys.PassphraseFile)
	from(&c.Data.Catalogue, &c.Data.Calendar)
	all(c.Include, c.Trust.Anchors, c.Trust.Seals, c.Trust.TimeStamps, c.Trust.Authorities, c.Trust.Evidence, c.Data.Matters, c.Data.Layouts, c.Data.Grants, c.Data.Guards, c.Data.Decisions)
	for i := range c.Trust.Witnesses {
		if w := &c.Trust.Witnesses[i]; !lognote.IsVKey(*w) {
			from(w)
		}
	}
	for i := range c.Data.Fonts {
		from(&c.Data.Fonts[i].File)
	}
	for i := range c.Departments {
		from(&c.Departments[i].Seal.ESL)
	}
	for i := range c.Systems {
		all(c.Systems[i].Certificates)
	}
	for i := range c.Assertions {
		from(&c.Assertions[i].Certificate)
	}
	for i := range c.Sources {
		c.Sources[i].settle(dir, func(p *string) { from(p) })
	}
}

func (s *Source) settle(dir string, from func(*string)) {
	ofSecret := func(r *secret.Ref) { from(&r.File) }
	if s.SQL != nil {
		s.SQL.ID = s.ID
		s.SQL.DSN = settleDSN(s.SQL.Driver, s.SQL.DSN, dir)
		ofSecret(&s.SQL.DSNSecret)
	}
	if s.REST != nil {
		s.REST.ID = s.ID
		from(&s.REST.TLS.CA)
		from(&s.REST.TLS.Certificate)
		from(&s.REST.TLS.Key)
		ofSecret(&s.REST.Auth.Secret)
	}
	if s.Files != nil {
		s.Files.ID = s.ID
		from(&s.Files.Dir)
	}
}

// settleDSN does it for the file in a SQLite DSN, "file:market.db?mode=ro".
func settleDSN(driver, dsn, dir string) string {
	if driver != "sqlite" && driver != "sqlite3" || dsn == "" {
		return dsn
	}
	name, isURI := strings.CutPrefix(dsn, "file:")
	name, query, _ := strings.Cut(name, "?")
	if name == "" || filepath.IsAbs(name) || name == ":memory:" || isURI && strings.HasPrefix(name, "//") {
		return dsn
	}
	settled := "file:" + filepath.Join(dir, filepath.FromSlash(name))
	if query != "" {
		settled += "?" + query
	}
	return settled
}

// pathReason is an error about a file in one phrase.
func pathReason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s is not there", p.Path)
		}
		return fmt.Sprintf("%s cannot be read: %v", p.Path, p.Err)
	}
	return err.Error()
}
