package rest

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/license"
)

type faults struct {
	list []license.Fault
}

func (f *faults) unless(ok bool, path, reason string) {
	if !ok {
		f.list = append(f.list, license.Fault{Path: path, Reason: reason})
	}
}

func (f *faults) under(path string, list []license.Fault) {
	for _, one := range list {
		f.list = append(f.list, license.Fault{Path: path + strings.TrimPrefix(one.Path, "$"), Reason: one.Reason})
	}
}

// Check reports everything wrong with the configuration at once; paths start at "$", the Config itself. It reads no
// file and opens no connection.
func (c Config) Check(cat *license.Catalogue) []license.Fault {
	f := &faults{}
	c.checkURL(f)
	f.unless((c.TLS.Certificate == "") == (c.TLS.Key == ""), "$.tls", "certificate and key belong together")
	if a := c.Auth; a != (Auth{}) {
		f.unless(a.Signed != !a.Secret.IsZero(), "$.auth", "say either secret or signed")
		if !a.Secret.IsZero() {
			f.under("$.auth.secret", a.Secret.Check())
		}
		f.unless(validHeader(or(a.Header, "Authorization"), a.Prefix), "$.auth.header", "no valid header")
	}
	for name, value := range c.Header {
		f.unless(validHeader(name, value), "$.header."+name, "no valid header")
	}
	_, err := escapedPath(c.Health)
	f.unless(c.Health == "" || strings.HasPrefix(c.Health, "/") && err == nil, "$.health", "a path begins with / and is escaped")
	f.unless(c.MaxBytes >= 0 && c.MaxRecords >= 0 && c.Parallel >= 0 && c.MaxConnections >= 0 && c.IdleTimeout >= 0, "$", "bounds may not be negative")
	f.unless(len(c.Calls) > 0, "$.calls", "at least one call is needed")
	seen := map[string]bool{}
	for i, call := range c.Calls {
		path := fmt.Sprintf("$.calls[%d]", i)
		call.check(f, path)
		f.under(path+".record", call.Record.Check(cat))
		f.unless(!seen[call.Record.Type], path+".record.type", "a second call for the same license type")
		seen[call.Record.Type] = true
	}
	return f.list
}

func (c Config) checkURL(f *faults) {
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		f.unless(false, "$.base_url", "expected http(s)://host/path without ? and #")
		return
	}
	f.unless(u.User == nil, "$.base_url", "a password belongs under auth.secret, not into the URL")
	f.unless(u.Scheme == "https" || c.AllowPlainHTTP || loopback(u.Hostname()), "$.base_url", "plain http is refused but on loopback; allow_plain_http accepts it where the network encrypts")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Call) check(f *faults, path string) {
	f.unless(slices.Contains([]string{"", http.MethodGet, http.MethodPost}, c.Method), path+".method", "expected GET or POST")
	f.unless(c.Method != http.MethodGet || c.Body == nil && c.Form == nil, path+".body", "a GET has no body")
	f.unless(c.Body == nil || c.Form == nil, path+".form", "has both body and form; keep one")
	r, list := c.compile()
	f.under(path, list)
	if len(list) == 0 {
		f.unless(r.uses("holder_code"), path, "the request never names {holder_code} and would ask about everybody")
	}
	c.Answer.check(f, path+".answer")
	for _, column := range c.columns() {
		f.unless(strings.HasPrefix(column, "/") && jsontext.Pointer(column).IsValid(), path+".record", "column "+column+" is no JSON pointer; write it like /owner/name")
		_, each := below(column, c.Answer.Holders)
		f.unless(each || !strings.Contains(column+"/", "/-/"), path+".record", "column "+column+" has - outside of answer.holders")
	}
}

func (a Answer) check(f *faults, path string) {
	for _, p := range []struct{ name, value string }{{"records", a.Records}, {"holders", a.Holders}, {"total", a.Total}, {"success.path", a.Success.Path}} {
		f.unless(pointer(p.value), path+"."+p.name, "no JSON pointer; write it like /data/list")
	}
	f.unless((a.Success.Path == "") == (len(a.Success.Values) == 0), path+".success", "path and values belong together")
	f.unless(len(a.NotFound) > 0, path+".not_found", "say how this system says that there is none; nothing else counts as not found")
	for i, n := range a.NotFound {
		at := fmt.Sprintf("%s.not_found[%d]", path, i)
		f.unless(n.Status == 0 || n.Status >= 200 && n.Status < 500 && (n.Status < 300 || n.Status >= 400), at+".status", "expected a status from 200 to 299 or from 400 to 499")
		f.unless((n.Mark.Path == "") == (len(n.Mark.Values) == 0) && pointer(n.Mark.Path), at+".mark", "path (a JSON pointer) and values belong together")
		f.unless(or(n.Status, 200) != 200 || n.Mark.Path != "" || n.Empty || n.NoBody, at, "says nothing: every answer would be not found")
		f.unless(!n.NoBody || or(n.Status, 200) != 200 && n.Mark.Path == "" && !n.Empty, at+".no_body", "an answer without a body has a status of its own and no mark")
		f.unless(!slices.Contains([]int{401, 403, 407, 408, 429}, n.Status), at+".status", "this status says that the gateway was refused, not that there is none")
	}
}

func pointer(p string) bool { return jsontext.Pointer(p).IsValid() && !strings.Contains(p+"/", "/-/") }

func validHeader(name, value string) bool {
	if name == "" || strings.EqualFold(name, "Host") || strings.EqualFold(name, "Content-Length") {
		return false
	}
	for _, r := range name {
		if !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return false
		}
	}
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}
