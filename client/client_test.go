package client

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/certs/certstest"
	"oncegate/certs/token"
	"oncegate/check"
	"oncegate/verdict"
)

var question = api.QueryRequest{
	LicenseType: "business-license", Holder: api.HolderID{Type: "001", Code: company},
	Purpose: api.Purpose{Case: "SP-1", Material: "m1"},
}

func TestQuery(t *testing.T) {
	c := newCity(t)
	answer, err := c.newClient(c.newTrust()).Query(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Answer.Licenses[0].Fields["holder_name.0"]; got != "示例食品有限公司" {
		t.Errorf("holder is %q", got)
	}
	if answer.Status != 200 || answer.JTI != c.seen[0].ID || answer.RequestID != c.seen[0].Request || c.seen[0].Operator != "clerk-7" {
		t.Errorf("%+v, seen %+v", answer.Response, c.seen[0])
	}
	if !has(answer.Steps, "answer-digest", check.OK) || !has(answer.Steps, "token-digest", check.OK) || !has(answer.Steps, "witness", check.NotCheckable) {
		t.Errorf("steps: %+v", answer.Steps)
	}
}

func has(list []check.Step, name string, state check.State) bool {
	for _, s := range list {
		if s.Name == name && s.State == state {
			return true
		}
	}
	return false
}

// Every typed method signs for its own address, in a form that the gateway accepts.
func TestOperationsReachTheirAddress(t *testing.T) {
	c := newCity(t)
	cl := c.newClient(c.newTrust()).As("clerk-8").Again("rid-1")
	ctx := t.Context()
	calls := []func() error{
		func() error { _, err := cl.Query(ctx, question); return err },
		func() error { _, err := cl.VerifyLicense(ctx, api.VerifyRequest{License: "license~"}); return err },
		func() error {
			_, err := cl.Status(ctx, api.StatusRequest{Identifier: identifier, Purpose: question.Purpose})
			return err
		},
		func() error {
			_, err := cl.Order(ctx, api.OrderRequest{Identifier: identifier, Command: api.LicenseCommandRevoke})
			return err
		},
		func() error { _, err := cl.List(ctx, api.ListRequest{Identifier: identifier}); return err },
		func() error { _, err := cl.Issue(ctx, api.IssueRequest{LicenseType: "business-license"}); return err },
		func() error { _, err := cl.Render(ctx, api.RenderRequest{LicenseType: "business-license"}); return err },
		func() error {
			_, err := cl.Try(ctx, "market-registration", api.TryRequest{LicenseType: "business-license"})
			return err
		},
		func() error { _, err := cl.RegisterCase(ctx, api.CaseRequest{No: "SP-1"}); return err },
		func() error {
			_, err := cl.Check(ctx, "苏-SP 1", api.CheckRequest{})
			return problemIs(err, "invalid-field")
		},
		func() error { _, err := cl.Check(ctx, "苏-SP-1", api.CheckRequest{}); return err },
		func() error { _, err := cl.ReportMaterial(ctx, "SP-1", api.MaterialRequest{}); return err },
		func() error { _, err := cl.CloseCase(ctx, "SP-1"); return err },
		func() error { _, err := cl.HandOver(ctx, "SP-1", api.HandOverRequest{}); return err },
		func() error { _, err := cl.ReadCase(ctx, "SP-1"); return err },
		func() error { _, err := cl.IssueResult(ctx, "SP-1", api.ResultRequest{}); return err },
		func() error { _, err := cl.File(ctx, "SP-1", api.FileRequest{}); return err },
		func() error { _, err := cl.Unfile(ctx, api.UnfileRequest{}); return err },
		func() error { _, err := cl.Represent(ctx, "SP-1", api.RepresentRequest{}); return err },
		func() error { _, err := cl.ListCases(ctx, api.CasesRequest{}); return err },
		func() error { _, err := cl.Precheck(ctx, api.PrecheckRequest{}); return err },
		func() error { _, err := cl.GiveConsent(ctx, api.ConsentRequest{}); return err },
		func() error { _, err := cl.WithdrawConsent(ctx, "c-1", api.WithdrawRequest{}); return err },
		func() error { _, err := cl.Types(ctx); return err },
		func() error { _, err := cl.Matters(ctx); return err },
		func() error { _, err := cl.Search(ctx, api.SearchRequest{}); return err },
		func() error { _, err := cl.Evidence(ctx, 3, api.EvidenceRequest{}); return err },
		func() error { _, err := cl.Erase(ctx, 3, api.EraseRequest{}); return err },
		func() error { _, err := cl.RecordReceipt(ctx, 3); return err },
		func() error { _, err := cl.Reuse(ctx, api.ReuseRequest{}); return err },
		func() error { _, err := cl.Export(ctx, api.ExportRequest{}); return err },
		func() error { _, err := cl.ReadRecord(ctx, 3); return err },
		func() error { _, err := cl.Dispose(ctx, 3, api.DisposeRequest{}); return err },
		func() error { _, err := cl.Summary(ctx, api.SummaryRequest{}); return err },
		func() error { _, err := cl.Consents(ctx, api.ConsentsRequest{}); return err },
		func() error { _, err := cl.Accesses(ctx, api.AccessesRequest{}); return err },
		func() error { _, err := cl.Dispute(ctx, api.DisputeRequest{}); return err },
		func() error { _, err := cl.NodeStatus(ctx); return err },
		func() error { _, err := cl.LostReceipt(ctx, "j"); return err },
		func() error {
			_, err := cl.Call(ctx, "log.entries", map[string]string{"tile": "x001/234"}, nil)
			return err
		},
	}
	for i, call := range calls {
		if err := call(); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	signed := 0
	for _, op := range c.contract.Operations() {
		if op.Signed {
			signed++
		}
	}
	if len(c.seen) != signed {
		t.Errorf("%d calls were seen, there are %d signed operations", len(c.seen), signed)
	}
	for _, claims := range c.seen {
		if claims.Operator != "clerk-8" || claims.Request != "rid-1" {
			t.Errorf("%+v", claims)
		}
	}
}

func problemIs(err error, code string) error {
	if errors.Is(err, api.NewProblem(code)) {
		return nil
	}
	return errors.Join(errors.New("want "+code), err)
}

func TestPublic(t *testing.T) {
	c := newCity(t)
	got, err := c.newClient(nil).Public(t.Context(), "status-lists", map[string]string{"id": "1"})
	if err != nil || string(got) != "status-lists 1" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse []string
		calls  int
		code   string
	}{
		{"twice, then it works", []string{"changed-meanwhile", "overloaded"}, 3, ""},
		{"no retry where it would not help", []string{"case-not-usable"}, 1, "case-not-usable"},
		{"not for ever", []string{"overloaded", "overloaded", "overloaded", "overloaded", "overloaded"}, 4, "overloaded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCity(t)
			c.refuse = tt.refuse
			_, err := c.newClient(c.newTrust()).Query(t.Context(), question)
			p, _ := errors.AsType[*api.Problem](err)
			if (err == nil) != (tt.code == "") || p != nil && p.Code != tt.code {
				t.Errorf("error %v, want %q", err, tt.code)
			}
			if len(c.seen) != tt.calls {
				t.Fatalf("%d calls, want %d", len(c.seen), tt.calls)
			}
			ids := map[string]bool{}
			for _, claims := range c.seen {
				ids[claims.ID] = true
				if claims.Request != c.seen[0].Request {
					t.Error("a retry has another request id")
				}
			}
			if len(ids) != tt.calls {
				t.Error("two calls have the same jti")
			}
			if call, ok := errors.AsType[*CallError](err); err != nil && (!ok || call.JTI != c.seen[len(c.seen)-1].ID) {
				t.Errorf("%v does not say which call it was", err)
			}
		})
	}
}

// What does not verify is not handed out, and refusals are verified as answers are.
func TestUnproven(t *testing.T) {
	spoils := map[string]func([]byte) []byte{
		"another field":   replace("示例食品有限公司", "示例药品有限公司"),
		"another nonce":   replace(`"nonce":"AA`, `"nonce":"AB`),
		"no receipt":      func(b []byte) []byte { return b[:bytes.Index(b, []byte(`,"receipt"`))] },
		"another record":  replace(`"record":"ey`, `"record":"eY`),
		"another index":   replace(`"index":`, `"index":1`),
		"another root":    replace("sm3-root ", "sm3-root A"),
		"a member more":   replace(`{"answer"`, `{"x":1,"answer"`),
		"a member twice":  replace(`{"answer"`, `{"answer":{},"answer"`),
		"another problem": replace(`"code":"case-not-usable"`, `"code":"case-closed"`),
	}
	for name, spoil := range spoils {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			changed := false
			c.spoil = func(b []byte) []byte {
				out := spoil(b)
				changed = !bytes.Equal(out, b)
				return out
			}
			if name == "another problem" {
				c.refuse = []string{"case-not-usable"}
			}
			answer, err := c.newClient(c.newTrust()).Query(t.Context(), question)
			if !changed || answer != nil || !errors.Is(err, verdict.ErrUnproven) {
				t.Errorf("changed %t: %+v, %v", changed, answer, err)
			}
		})
	}
}

func replace(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
}

func TestAnotherLog(t *testing.T) {
	c := newCity(t)
	c.trust.Logs[0].Origin, c.trust.Logs[0].Ed25519 = "other.example/log", ""
	if _, err := c.newClient(c.newTrust()).Query(t.Context(), question); !errors.Is(err, verdict.ErrUnproven) {
		t.Error(err)
	}
}

func TestConfigRefused(t *testing.T) {
	c := newCity(t)
	good := Config{BaseURL: "https://gateway.example/base/", Gateway: audience, System: system, Signer: c.caller, Operator: "o"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no URL": func(c *Config) { c.BaseURL = "" }, "another scheme": func(c *Config) { c.BaseURL = "ftp://x" },
		"a query": func(c *Config) { c.BaseURL = "https://x?y" }, "no gateway": func(c *Config) { c.Gateway = "" },
		"no system": func(c *Config) { c.System = "" }, "no operator": func(c *Config) { c.Operator = "" },
		"no signer": func(c *Config) { c.Signer = nil },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	c := newCity(t)
	inner := c.server.Config.Handler
	c.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/catalog/types" {
			http.Redirect(w, r, "/v1/catalog/matters", http.StatusTemporaryRedirect)
			return
		}
		inner.ServeHTTP(w, r)
	})
	if _, err := c.newClient(nil).Types(t.Context()); err == nil || len(c.seen) > 0 {
		t.Errorf("%v, %d calls", err, len(c.seen))
	}
}

// A shell hands curl exactly what was signed, whatever is in the body.
func TestCurl(t *testing.T) {
	c := newCity(t)
	body := []byte(`{"license_type":"it's $(id) \"x\" ` + "`y`" + `"}`)
	command, err := c.newClient(nil).Curl(t.Context(), "licenses.query", nil, body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", "-c", `curl() { for a; do printf '%s\0' "$a"; done; }; `+command).Output()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var sent string
	header := make(http.Header)
	for i, arg := range args {
		switch arg {
		case "-H":
			name, value, _ := strings.Cut(args[i+1], ": ")
			header.Set(name, value)
		case "--data-binary":
			sent = args[i+1]
		}
	}
	if sent != string(body) {
		t.Errorf("body is %q", sent)
	}
	req, err := http.NewRequest(args[2], args[len(args)-1], strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || len(c.seen) != 1 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// Each attempt gets an actor token of its own, bound to the claims and the key that it is sent with.
func TestVouched(t *testing.T) {
	c := newCity(t)
	var asked []ActorBinding
	vouched := c.newClient(nil).As("clerk-9").Vouched(func(_ context.Context, b ActorBinding) (string, error) {
		asked = append(asked, b)
		return "actor-" + b.Operator, nil
	})
	if _, err := vouched.Types(t.Context()); err != nil {
		t.Fatal(err)
	}
	jti, err := token.NewID(certstest.Epoch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vouched.WithID(jti).Types(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := token.KeyDigest(c.caller.Public())
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || len(c.seen) != 2 || c.seen[1].ID != jti {
		t.Fatalf("asked %+v, seen %+v", asked, c.seen)
	}
	for i, claims := range c.seen {
		req, err := token.RequestDigest(&claims)
		if want := (ActorBinding{audience, system, "clerk-9", req, key}); err != nil || asked[i] != want || claims.Actor != "actor-clerk-9" {
			t.Errorf("call %d: asked %+v, sent %+v, want %+v", i, asked[i], claims, want)
		}
	}
	broken := c.newClient(nil).Vouched(func(context.Context, ActorBinding) (string, error) { return "", errors.New("service is down") })
	if _, err := broken.Types(t.Context()); err == nil || !strings.Contains(err.Error(), "service is down") || len(c.seen) != 2 {
		t.Errorf("%v, %d calls", err, len(c.seen))
	}
}
