package rest

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/fault"
	"oncegate/license"
)

// Check reports everything wrong with the configuration at once; paths start at "$", the Config itself. It reads no
// file and opens no connection.
func (c Config) Check(cat *license.Catalogue) fault.List {
	f := &fault.List{}
	c.checkURL(f)
	f.Unless((c.TLS.Certificate == "") == (c.TLS.Key == ""), "$.tls", "certificate and key belong together")
	if a := c.Auth; a != (Auth{}) {
		f.Unless(a.Signed != !a.Secret.IsZero(), "$.auth", "say either secret or signed")
		if !a.Secret.IsZero() {
			f.Under("$.auth.secret", a.Secret.Check())
		}
		f.Unless(validHeader(cmp.Or(a.Header, "Authorization"), a.Prefix), "$.auth.header", "no valid header")
	}
	for name, value := range c.Header {
		f.Unless(validHeader(name, value), "$.header."+name, "no valid header")
	}
	_, err := escapedPath(c.Health)
	f.Unless(c.Health == "" || strings.HasPrefix(c.Health, "/") && err == nil, "$.health", "a path begins with / and is escaped")
	f.Unless(c.MaxBytes >= 0 && c.MaxRecords >= 0 && c.Parallel >= 0 && c.MaxConnections >= 0 && c.IdleTimeout >= 0, "$", "bounds may not be negative")
	f.Unless(len(c.Calls) > 0, "$.calls", "at least one call is needed")
	seen := map[string]bool{}
	for i, call := range c.Calls {
		path := fmt.Sprintf("$.calls[%d]", i)
		call.check(f, path)
		f.Under(path+".record", call.Record.Check(cat))
		f.Unless(!seen[call.Record.Type], path+".record.type", "a second call for the same license type")
		seen[call.Record.Type] = true
	}
	return *f
}

func (c Config) checkURL(f *fault.List) {
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		f.Unless(false, "$.base_url", "expected http(s)://host/path without ? and #")
		return
	}
	f.Unless(u.User == nil, "$.base_url", "a password belongs under auth.secret, not into the URL")
	f.Unless(u.Scheme == "https" || c.AllowPlainHTTP || loopback(u.Hostname()), "$.base_url", "plain http is refused but on loopback; allow_plain_http accepts it where the network encrypts")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Call) check(f *fault.List, path string) {
	f.Unless(slices.Contains([]string{"", http.MethodGet, http.MethodPost}, c.Method), path+".method", "expected GET or POST")
	f.Unless(c.Method != http.MethodGet || c.Body == nil && c.Form == nil, path+".body", "a GET has no body")
	f.Unless(c.Body == nil || c.Form == nil, path+".form", "has both body and form; keep one")
	r, list := c.compile()
	f.Under(path, list)
	if len(list) == 0 {
		f.Unless(r.uses("holder_code"), path, "the request never names {holder_code} and would ask about everybody")
	}
	c.Answer.check(f, path+".answer")
	for _, column := range c.columns() {
		f.Unless(strings.HasPrefix(column, "/") && jsontext.Pointer(column).IsValid(), path+".record", "column %s is no JSON pointer; write it like /owner/name", column)
		_, each := below(column, c.Answer.Holders)
		f.Unless(each || !strings.Contains(column+"/", "/-/"), path+".record", "column %s has - outside of answer.holders", column)
	}
}

func (a Answer) check(f *fault.List, path string) {
	for _, p := range []struct{ name, value string }{{"records", a.Records}, {"holders", a.Holders}, {"total", a.Total}, {"success.path", a.Success.Path}} {
		f.Unless(pointer(p.value), path+"."+p.name, "no JSON pointer; write it like /data/list")
	}
	f.Unless((a.Success.Path == "") == (len(a.Success.Values) == 0), path+".success", "path and values belong together")
	f.Unless(len(a.NotFound) > 0, path+".not_found", "say how this system says that there is none; nothing else counts as not found")
	for i, n := range a.NotFound {
		at := fmt.Sprintf("%s.not_found[%d]", path, i)
		f.Unless(n.Status == 0 || n.Status >= 200 && n.Status < 500 && (n.Status < 300 || n.Status >= 400), at+".status", "expected a status from 200 to 299 or from 400 to 499")
		f.Unless((n.Mark.Path == "") == (len(n.Mark.Values) == 0) && pointer(n.Mark.Path), at+".mark", "path (a JSON pointer) and values belong together")
		f.Unless(cmp.Or(n.Status, 200) != 200 || n.Mark.Path != "" || n.Empty || n.NoBody, at, "says nothing: every answer would be not found")
		f.Unless(!n.NoBody || cmp.Or(n.Status, 200) != 200 && n.Mark.Path == "" && !n.Empty, at+".no_body", "an answer without a body has a status of its own and no mark")
		f.Unless(!slices.Contains([]int{401, 403, 407, 408, 429}, n.Status), at+".status", "this status says that the gateway was refused, not that there is none")
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
