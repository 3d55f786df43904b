package config

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/fault"
	"oncegate/license"
	"oncegate/store"
)

var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	headerForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	originForm = regexp.MustCompile(`^[^\s+]{1,255}$`)
)

// unless reports a fault in the main file where something does not hold.
func (l *loader) unless(ok bool, path, format string, args ...any) {
	if !ok {
		l.doc.Add(path, format, args...)
	}
}

// warn reports what is usable all the same.
func (l *loader) warn(path, format string, args ...any) {
	l.doc.Warn(path, format, args...)
}

// unique returns a function that reports the second use of a value. Empty values are not counted.
func (l *loader) unique() func(path, value string) {
	first := map[string]string{}
	return func(path, value string) {
		if value == "" {
			return
		}
		if before, twice := first[value]; twice {
			l.doc.Add(path, "%q stands already at %s", fault.Clip(value), l.doc.At(before))
			return
		}
		first[value] = path
	}
}

// checkMain validates the main file without the files that it names.
func (l *loader) checkMain() {
	l.checkGateway()
	l.checkStore()
	l.checkDepartments()
	l.checkSystems()
	l.checkLimits()
	l.checkDocuments()
	l.checkLifetimes()
}

func (l *loader) checkGateway() {
	g := l.setup.Gateway
	l.unless(idForm.MatchString(g.ID), "$.gateway.id", "the gateway's id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
	l.checkPublicURL("$.gateway.public_url", g.PublicURL)
	if g.DocumentsURL != "" {
		l.checkPublicURL("$.gateway.documents_url", g.DocumentsURL)
	}
	if url := cmp.Or(g.DocumentsURL, g.PublicURL); len(url) > maxDocumentsURL {
		l.warn("$.gateway.documents_url", "an address of more than %d characters makes the QR codes of documents so fine that cameras fail: give a shorter one that leads here", maxDocumentsURL)
	}
	l.unless(l.department(g.Department) || g.Department == "", "$.gateway.department", "there is no department %q", fault.Clip(g.Department))
	l.unless(g.StatusList == 0 || time.Duration(g.StatusList) >= time.Minute && time.Duration(g.StatusList) <= 720*time.Hour, "$.gateway.status_list", "a status list is trusted for 1m to 720h")
	l.unless(g.Nodes >= 0, "$.gateway.nodes", "the number of nodes may not be negative")
	l.checkTLS(g)
	l.unless(g.ClientFrom == "" || g.BehindTLS, "$.gateway.client_from", "only a proxy that terminates TLS (behind_tls) is trusted about where calls come from")
	l.unless(g.ClientFrom == "" || headerForm.MatchString(g.ClientFrom), "$.gateway.client_from", "the name of a header is expected, such as X-Forwarded-For")
	if host, ok := l.address("$.gateway.listen", g.Listen); ok && g.TLS == (TLS{}) && !g.BehindTLS {
		l.unless(isLoopback(host), "$.gateway.listen", "plain HTTP is served on loopback only: name a certificate under tls, or say behind_tls if a proxy terminates TLS")
	}
	if g.BehindTLS && g.ClientFrom == "" {
		l.warn("$.gateway.behind_tls", "all calls seem to come from the proxy, so that strangers and registered callers are told apart by their keys only: name the header in which it says where a call comes from under client_from")
	}
	if host, ok := l.address("$.gateway.admin", g.Admin); ok && !g.AdminOpen {
		l.unless(isLoopback(host), "$.gateway.admin", "the admin listener is for loopback only, unless admin_open says otherwise")
	}
	l.unless(originForm.MatchString(l.setup.Log.Origin), "$.log.origin", "the log's name is required, such as gateway.example/log, without spaces and plus signs")
	l.unless(l.setup.Log.Mark != "", "$.log.mark", "the file of the high-water mark is required; keep it outside the database and its backups")
}

// maxDocumentsURL is how many characters fit, before /v/ and a code, into a QR code of 33 modules (version 4-M, ISO/IEC 18004).
const maxDocumentsURL = 61

func (l *loader) checkPublicURL(at, text string) {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil && !strings.HasSuffix(text, "/")
	l.unless(ok, at, "the public URL is required, such as https://gateway.example, without a slash, query or fragment at its end")
	if ok && u.Scheme == "http" {
		l.unless(isLoopback(u.Hostname()), at, "callers reach the gateway over https; http is for loopback only")
	}
}

func (l *loader) checkTLS(g Gateway) {
	if g.TLS == (TLS{}) {
		return
	}
	if g.TLS.Certificate == "" || g.TLS.Key == "" {
		l.doc.Add("$.gateway.tls", "certificate and key belong together")
		return
	}
	if _, err := tls.LoadX509KeyPair(g.TLS.Certificate, g.TLS.Key); err != nil {
		l.doc.Add("$.gateway.tls", "certificate and key cannot be used: %s", PathReason(err))
	}
}

// address checks host:port and returns the host.
func (l *loader) address(path, text string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	l.unless(err == nil, path, "host:port is required, such as 127.0.0.1:8443")
	return host, err == nil
}

// isLoopback reports whether a host is surely this machine. Names other than localhost are not resolved.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l *loader) checkStore() {
	s := l.setup.Store
	switch s.Driver {
	case "", store.SQLite:
		l.unless(s.Path != "", "$.store.path", "the database file is required")
		l.unless(l.setup.Gateway.Nodes <= 1, "$.store.driver", "sqlite serves one node; several need postgres")
	case store.Postgres:
		if f := s.CheckDSNFile(); f != nil && f.Warning {
			l.doc.Warn("$.store.dsn_file", "%s", f.Reason)
		} else if f != nil {
			l.doc.Add("$.store.dsn_file", "%s", f.Reason)
		}
	default:
		l.doc.Add("$.store.driver", "%q is neither sqlite nor postgres", fault.Clip(s.Driver))
	}
}

// CheckDSNFile says what is wrong with the file of the connection string: it is not there, or others may write it, so that they could lead
// the gateway to a database of their own; that others may read its password is a warning. It returns nil where nothing is.
func (s Store) CheckDSNFile() *fault.Fault {
	wrong := func(format string, args ...any) *fault.Fault {
		return &fault.Fault{Path: "$.store.dsn_file", Reason: fmt.Sprintf(format, args...)}
	}
	if s.DSNFile == "" {
		return wrong("a file with the connection string is required")
	}
	info, err := os.Stat(s.DSNFile)
	switch {
	case err != nil:
		return wrong("%s", PathReason(err))
	case info.IsDir():
		return wrong("%s is a folder, not a file", s.DSNFile)
	case info.Mode().Perm()&0o002 != 0:
		return wrong("everybody on this machine may write the file of the connection string, %s: set its mode to 0600", s.DSNFile)
	}
	if text, err := s.ReadDSN(); err != nil || text == "" {
		return wrong("the connection string in %s is empty or cannot be read: write one line such as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full", s.DSNFile)
	}
	if info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	f := wrong("everybody on this machine may read the file of the connection string, %s: set its mode to 0600", s.DSNFile)
	f.Warning = true
	return f
}

// department reports whether there is a department of this id.
func (l *loader) department(id string) bool {
	return slices.ContainsFunc(l.setup.Departments, func(d Department) bool { return d.ID == id })
}

func (l *loader) checkDepartments() {
	ids, codes := l.unique(), l.unique()
	l.unless(len(l.setup.Departments) > 0, "$.departments", "there is no department")
	for i, d := range l.setup.Departments {
		at := fmt.Sprintf("$.departments[%d]", i)
		ids(at+".id", d.ID)
		l.unless(idForm.MatchString(d.ID), at+".id", "the id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
		l.unless(d.Name != "", at+".name", "the name is missing")
		codes(at+".uscc", d.USCC)
		if err := license.CheckUSCC(d.USCC); err != nil {
			l.doc.Add(at+".uscc", "not a unified social credit code (统一社会信用代码): %s", string(license.ReasonOf(err)))
		}
	}
}

func (l *loader) checkSystems() {
	ids := l.unique()
	for i, s := range l.setup.Systems {
		at := fmt.Sprintf("$.systems[%d]", i)
		ids(at+".id", s.ID)
		l.unless(idForm.MatchString(s.ID), at+".id", "the id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
		l.unless(s.ID == "" || s.ID != l.setup.Gateway.ID, at+".id", "the id is the gateway's own, whose records would look like the system's")
		l.unless(l.department(s.Department), at+".department", "there is no department %q", fault.Clip(s.Department))
		l.unless(len(s.Certificates) > 0, at+".certificates", "the system has no certificate, so none of its calls could be verified")
		l.unless(s.Rate >= 0 && s.Rate <= 1e6, at+".rate", "calls per second, 0 to 1000000")
		l.unless(s.Burst >= 0, at+".burst", "the burst may not be negative")
		l.unless(s.Share == 0 || s.Share >= 0.01 && s.Share <= 100, at+".share", "the weight among all systems, 0.01 to 100")
	}
	issuers := l.unique()
	for i, a := range l.setup.Assertions {
		at := fmt.Sprintf("$.assertions[%d]", i)
		issuers(at+".issuer", a.Issuer)
		l.unless(idForm.MatchString(a.Issuer), at+".issuer", "the issuer is required: 1 to 64 letters, digits, dots, underscores and hyphens")
		l.unless(a.Certificate != "", at+".certificate", "the certificate is missing")
	}
	l.checkIdentityServices()
}

func (l *loader) checkIdentityServices() {
	ids := l.unique()
	for i, s := range l.setup.IdentityServices {
		at := fmt.Sprintf("$.identity_services[%d]", i)
		ids(at+".id", s.ID)
		l.unless(idForm.MatchString(s.ID), at+".id", "the id is required: 1 to 64 letters, digits, dots, underscores and hyphens")
		l.unless(!slices.ContainsFunc(l.setup.Systems, func(c System) bool { return c.ID == s.ID }), at+".id", "the id is a system's, whose keys would look like the identity service's")
		l.unless(len(s.Certificates) > 0, at+".certificates", "the identity service has no certificate, so none of its tokens could be verified")
		l.unless(len(s.Systems) > 0, at+".systems", "say for which systems the identity service may speak: every one is named")
		systems, roles := l.unique(), l.unique()
		for j, id := range s.Systems {
			of := fmt.Sprintf("%s.systems[%d]", at, j)
			systems(of, id)
			l.unless(slices.ContainsFunc(l.setup.Systems, func(s System) bool { return s.ID == id }), of, "there is no system %q", fault.Clip(id))
		}
		for j, role := range s.Roles {
			of := fmt.Sprintf("%s.roles[%d]", at, j)
			roles(of, role)
			l.unless(idForm.MatchString(role), of, "a role is 1 to 64 letters, digits, dots, underscores and hyphens: it stands in records, and names nobody")
		}
	}
}

func (l *loader) checkLimits() {
	m := l.setup.Limits
	l.unless(m.Body >= 0 && m.Body <= api.MaxBody, "$.limits.body", "bytes of a body, at most %d", api.MaxBody)
	l.unless(m.Documents >= 0 && m.Documents <= maxDocuments, "$.limits.documents", "bytes of a body, at most %d", maxDocuments)
	l.unless(m.Materials >= 0 && m.Materials <= 1000, "$.limits.materials", "materials of a check, at most 1000")
	l.unless(m.InFlight >= 0, "$.limits.in_flight", "calls under way may not be negative")
	l.unless(m.Memory == 0 || m.Memory >= minMemory, "$.limits.memory", "bytes of memory for bodies, at least %d, so that one system alone can send the largest document", minMemory)
	l.unless(m.Connections == 0 || m.Connections >= MinConnections, "$.limits.connections", "open connections, at least %d", MinConnections)
	l.unless(m.FreeSpace >= 0, "$.limits.free_space", "bytes that must be free may not be negative")
	l.unless(m.Unproven >= 0, "$.limits.unproven", "calls that prove nobody may not be negative")
}

const (
	minMemory = 4 * 4 * maxDocuments // a quarter of it is lent to one system that asks alone, and a body takes four times its length
)

// maxDocuments is the length in bytes of the longest body of licenses.verify: its x-max-body in the contract.
const maxDocuments = 8 << 20

// checkLifetimes checks how long assertions and consents of holders may be used.
func (l *loader) checkLifetimes() {
	within := func(d Duration, least, most time.Duration) bool {
		return d == 0 || time.Duration(d) >= least && time.Duration(d) <= most
	}
	g := l.setup.Gateway
	l.unless(within(g.AssertionLife, time.Minute, 24*time.Hour), "$.gateway.assertion_life", "an assertion may be used for 1m to 24h")
	l.unless(within(g.ConsentLife, time.Hour, 43848*time.Hour), "$.gateway.consent_life", "a consent may stand for 1h to 43848h")
}

// checkDocuments checks the settings of license documents: copies, originals and time stamps.
func (l *loader) checkDocuments() {
	g := l.setup.Gateway
	l.unless(g.CopyLife == 0 || time.Duration(g.CopyLife) >= time.Hour && time.Duration(g.CopyLife) <= 8784*time.Hour, "$.gateway.copy_life", "an annotated copy may be used for 1h to 8784h")
	l.unless(l.setup.Retention.Originals >= 0, "$.retention.originals", "originals cannot be kept for less than nothing")
	t := l.setup.Timestamp
	l.unless(t.URL != "" || t.Wait == 0, "$.timestamp.url", "the authority's URL is missing")
	l.unless(t.URL == "" || strings.HasPrefix(t.URL, "http://") || strings.HasPrefix(t.URL, "https://"), "$.timestamp.url", "an http or https URL is expected")
	l.unless(t.Wait >= 0 && time.Duration(t.Wait) <= 10*time.Second, "$.timestamp.wait", "a release waits for a time stamp for at most 10s")
}
