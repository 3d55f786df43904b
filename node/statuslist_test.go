package node

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/statuslist"
	"oncegate/check"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/license"
	"oncegate/register"
	"oncegate/verdict"
)

// A placed is where a license's status stands.
type placed struct {
	Index int    `json:"idx"`
	URI   string `json:"uri"`
}

// payloadOf reads the payload of a JWS or SD-JWT without verifying it.
func payloadOf[T any](t *testing.T, compact string) (v T) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(strings.Split(compact, "~")[0], ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func placeOf(t *testing.T, compact string) placed {
	t.Helper()
	return payloadOf[struct {
		Status struct {
			List placed `json:"status_list"`
		} `json:"status"`
	}](t, compact).Status.List
}

// A fetched is a status list as it came over the wire.
type fetched struct {
	code   int
	header http.Header
	token  string
	exp    time.Time
	list   *statuslist.List
}

func fetch(t *testing.T, uri, tag string) (f fetched) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	f = fetched{code: res.StatusCode, header: res.Header, token: string(body)}
	if f.code != http.StatusOK {
		return f
	}
	c := payloadOf[struct {
		Exp  int64 `json:"exp"`
		List struct {
			Bits int    `json:"bits"`
			Lst  string `json:"lst"`
		} `json:"status_list"`
	}](t, f.token)
	f.exp = time.Unix(c.Exp, 0)
	if f.list, err = statuslist.Decode(c.List.Bits, c.List.Lst); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fetched) status(t *testing.T, p placed) license.Status {
	t.Helper()
	value, err := f.list.Get(p.Index)
	if err != nil {
		t.Fatal(err)
	}
	return register.StatusOf(value)
}

// judged is the named step of verifying a license with a status list at a moment.
func judged(t *testing.T, trust verdict.TrustConfig, at time.Time, compact, list string) map[string]check.State {
	t.Helper()
	trust.Now = func() time.Time { return at }
	trusted, err := verdict.NewTrust(trust)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]check.State{}
	for _, v := range trusted.Verify(verdict.Artefact{Name: "license", Data: []byte(compact)}, verdict.Artefact{Name: "list", Data: []byte(list)}) {
		for _, s := range v.Steps {
			if known, twice := states[s.Name]; !twice || known == check.OK {
				states[s.Name] = s.State
			}
		}
	}
	return states
}

func (s *served) query(no string) api.License {
	s.t.Helper()
	got, err := s.as("food-approval").Query(s.t.Context(), question(no))
	if err != nil || len(got.Answer.Licenses) != 1 {
		s.t.Fatalf("query: %v", err)
	}
	return got.Answer.Licenses[0]
}

func (s *served) order(identifier string, command api.LicenseCommand) {
	s.t.Helper()
	if _, err := s.as("market-licenses").Order(s.t.Context(), api.OrderRequest{Identifier: identifier, Command: command}); err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
}

// TestRevocationSeen revokes a license on a running node: the status and the list say so within a second, and who verifies
// offline with the list of before until that expires.
func TestRevocationSeen(t *testing.T) {
	s := newCity(t).serve()
	s.register("SP-1")
	l := s.query("SP-1")
	at := placeOf(t, l.License)
	before := fetch(t, at.URI, "")
	if got := before.status(t, at); got != license.Valid {
		t.Fatalf("before, the list says %s", got)
	}
	if again := fetch(t, at.URI, before.header.Get("ETag")); again.code != http.StatusNotModified || again.token != "" {
		t.Errorf("an unchanged list answers %d with %d bytes", again.code, len(again.token))
	}

	asker := s.as("food-approval")
	s.order(l.Identifier, api.LicenseCommandRevoke)
	revoked := time.Now()
	after := fetch(t, at.URI, before.header.Get("ETag"))
	for after.code == http.StatusNotModified && time.Since(revoked) < 5*time.Second {
		after = fetch(t, at.URI, before.header.Get("ETag"))
	}
	if took := time.Since(revoked); after.code != http.StatusOK || after.status(t, at) != license.Revoked || took > time.Second {
		t.Errorf("the list answers %d after %s", after.code, took)
	}
	status, err := asker.Status(t.Context(), api.StatusRequest{Identifier: l.Identifier, Purpose: api.Purpose{Case: "SP-1"}})
	if err != nil || status.Answer.Status != api.StatusRevoked {
		t.Errorf("status: %+v, %v", status, err)
	}
	for name, f := range map[string]fetched{"before": before, "after": after} {
		var age int
		control := f.header.Get("Cache-Control")
		if _, err := fmt.Sscanf(control, "public, max-age=%d", &age); err != nil || age < 1 || time.Duration(age)*time.Second > time.Until(f.exp) {
			t.Errorf("%s: Cache-Control %q of a list that expires in %s", name, control, time.Until(f.exp))
		}
		if f.header.Get("Content-Type") != "application/statuslist+jwt" || f.header.Get("ETag") == "" || f.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v", name, f.header)
		}
	}

	dir := t.TempDir()
	if err := s.WriteTrust(dir); err != nil {
		t.Fatal(err)
	}
	trust, err := verdict.ReadTrust(filepath.Join(dir, install.TrustFile))
	if err != nil {
		t.Fatal(err)
	}
	until := before.exp
	if left := time.Until(until); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the list is trusted for %s", left)
	}
	for _, c := range []struct {
		name string
		at   time.Time
		list string
		step string
		want check.State
	}{
		{"old list, before exp", until.Add(-time.Second), before.token, "status", check.OK},
		{"old list, at exp", until, before.token, "status-list-validity", check.Failed},
		{"old list, at exp", until, before.token, "status", check.NotCheckable},
		{"new list", time.Now(), after.token, "status", check.Failed},
	} {
		if got := judged(t, trust, c.at, l.License, c.list); got[c.step] != c.want {
			t.Errorf("%s: step %s is %q, want %q; all are %v", c.name, c.step, got[c.step], c.want, got)
		}
	}
}

// TestListFollows changes what a list says again and again: every answer is as the register was a moment ago, and a list that
// does not change is not signed again.
func TestListFollows(t *testing.T) {
	c := newCity(t)
	c.Edit(config.MainFile, "gateway:\n", "gateway:\n  status_list: 1m\n")
	s := c.serve()
	s.register("SP-1")
	l := s.query("SP-1")
	at := placeOf(t, l.License)
	say := func(status string) {
		t.Helper()
		if err := installtest.Exec(filepath.Join(c.Dir, "sources/market.db"), `update licenses set status = '`+status+`'`); err != nil {
			t.Fatal(err)
		}
		s.query("SP-1")
	}
	for _, c := range []struct {
		name   string
		change func()
		want   license.Status
	}{
		{"suspended by order", func() { s.order(l.Identifier, api.LicenseCommandSuspend) }, license.Suspended},
		{"reinstated", func() { s.order(l.Identifier, api.LicenseCommandReinstate) }, license.Valid},
		{"revoked at the source", func() { say("2") }, license.Revoked},
		{"valid again at the source", func() { say("1") }, license.Valid},
		{"superseded", func() { s.order(l.Identifier, api.LicenseCommandSupersede) }, license.Superseded},
	} {
		c.change()
		begun, got := time.Now(), license.Status("")
		for got != c.want && time.Since(begun) < 5*time.Second {
			got = fetch(t, at.URI, "").status(t, at)
		}
		if took := time.Since(begun); got != c.want || took > time.Second {
			t.Errorf("%s: the list says %s after %s", c.name, got, took)
		}
	}
	next := s.query("SP-1")
	if next.Version != 2 || next.Status != api.StatusValid {
		t.Errorf("after the old version was superseded: %d %s", next.Version, next.Status)
	}
	pause := func() { time.Sleep(2 * statusRecheck) } // so that the register is asked again
	pause()
	one := fetch(t, at.URI, "")
	if age, _ := strconv.Atoi(strings.TrimPrefix(one.header.Get("Cache-Control"), "public, max-age=")); age < 1 || age > 15 {
		t.Errorf("a list that is trusted for a minute may be kept %d s", age)
	}
	pause()
	if two := fetch(t, at.URI, ""); two.token != one.token {
		t.Error("an unchanged list was signed again")
	}
	if none := fetch(t, strings.TrimSuffix(at.URI, "1")+"77", ""); none.code != http.StatusNotFound {
		t.Errorf("a list that is not there answers %d", none.code)
	}
}

// TestListWithinItsTTL serves no list that is past its ttl: an unchanged one is signed again.
func TestListWithinItsTTL(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s := newCity(t).serveAs(func(n *Node) { n.Now = now })
	s.register("SP-1")
	at := placeOf(t, s.query("SP-1").License)
	for _, later := range []time.Duration{0, 30 * time.Second, 61 * time.Second, 2 * time.Minute} {
		ahead.Store(int64(later))
		c := payloadOf[struct {
			IssuedAt int64 `json:"iat"`
			TTL      int64 `json:"ttl"`
		}](t, fetch(t, at.URI, "").token)
		if age := now().Unix() - c.IssuedAt; c.TTL < 1 || age > c.TTL {
			t.Errorf("%s later a list is served that is %d s old, with a ttl of %d s", later, age, c.TTL)
		}
	}
}
