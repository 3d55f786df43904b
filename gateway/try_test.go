package gateway

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/license"
)

const (
	tryPath   = "/v1/sources/samr-system/try"
	tryRights = "permissions:\n  - {id: land/try, systems: [land-approval, food-approval], operations: [sources.try], basis: 测试}\n"
)

func tryOf(holder license.HolderID, show bool) map[string]any {
	return map[string]any{"license_type": "business-license", "holder": map[string]string{"type": holder.Type, "code": holder.Code}, "show": show}
}

// A department tries its own source, by a right of its own: masked, or whole with the right to draw its licenses. That a license exists is
// a release, so the holder stands in the record, also where there is none.
func TestTry(t *testing.T) {
	w := newWorld(t)
	call := func(show bool) answered { return w.call("samr-licenses", "POST", tryPath, tryOf(company, show)) }
	a := call(false)
	got := read[api.TryAnswer](t, a)
	if got.Found != api.TryAnswerFoundFound || got.Shown || len(got.Licenses) != 1 || got.Source != "samr-system" {
		t.Fatalf("%+v", got)
	}
	body := string(a.body)
	for path, value := range got.Licenses[0].Fields {
		if strings.HasPrefix(path, "holder_code.") && strings.Trim(value, "*") != "" {
			t.Errorf("%s: %s", path, value)
		}
	}
	for _, secret := range []string{company.Code, boss.Code} {
		if strings.Contains(strings.ReplaceAll(body, `"commitments"`, ""), `":"`+secret) {
			t.Errorf("the masked answer says %s: %s", secret, body)
		}
	}
	use := a.record.Uses[0]
	if use.Decision != outcomeTried || len(use.Fields) != 0 || use.Holder == "" || !slices.Contains(use.Rules, "samr/licenses") {
		t.Errorf("recorded %+v", use)
	}

	a = call(true)
	shown := read[api.TryAnswer](t, a)
	if !shown.Shown || shown.Licenses[0].Fields["holder_code.0"] != company.Code {
		t.Errorf("shown: %+v", shown)
	}
	if use = a.record.Uses[0]; !slices.Contains(use.Fields, license.FieldHolderCode) || !slices.Contains(use.Rules, "samr/licenses") || !slices.Contains(use.Rules, "samr/licenses") {
		t.Errorf("recorded %+v", use)
	}
	w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company})
	a = call(false)
	if got = read[api.TryAnswer](t, a); got.Found != api.TryAnswerFoundNotFound || a.record.Uses[0].Decision != outcomeMissing || a.record.Uses[0].Holder == "" {
		t.Errorf("none: %+v, recorded %+v", got, a.record.Uses)
	}
}

// Nobody else learns anything, and nothing else is tried; values are for who may draw the license, too.
func TestTryIsForOwners(t *testing.T) {
	w := newWorld(t)
	flatOf := func(show bool) answered {
		return w.call("land-approval", "POST", "/v1/sources/land-system/try", map[string]any{"license_type": "real-estate-certificate", "holder": wife, "show": show})
	}
	w.refused(flatOf(false), "not-permitted")
	w.rules("try.yaml", tryRights)
	w.refused(flatOf(true), "not-permitted")
	if n := w.legacy["real-estate-certificate"].asked(); n != 0 {
		t.Errorf("the source was asked %d times before it was decided", n)
	}
	if got := read[api.TryAnswer](t, flatOf(false)); got.Found == "" || got.Shown {
		t.Errorf("%+v", got)
	}
	for name, c := range map[string]struct {
		system, path string
		body         map[string]any
		code         string
	}{
		"another department":      {"food-approval", tryPath, tryOf(company, false), "not-permitted"},
		"no right for the type":   {"samr-licenses", tryPath, map[string]any{"license_type": "resident-id", "holder": wife}, "not-permitted"},
		"another's source":        {"samr-licenses", "/v1/sources/police-system/try", tryOf(company, false), "license-type-not-served"},
		"no such type":            {"samr-licenses", tryPath, map[string]any{"license_type": "fishing", "holder": company}, "unknown-license-type"},
		"a code that is none":     {"samr-licenses", tryPath, tryOf(license.HolderID{Type: "001", Code: "1"}, false), "holder-code-invalid"},
		"a holder who holds none": {"samr-licenses", tryPath, tryOf(wife, false), "holder-type-impossible"},
	} {
		w.refused(w.call(c.system, "POST", c.path, c.body), c.code)
		if n := w.legacy["business-license"].asked(); n != 0 {
			t.Errorf("%s: the source was asked", name)
		}
	}
}

// Why a source does not answer is the answer, with row and column, also while its breaker is open; and it is recorded.
func TestTrySaysWhy(t *testing.T) {
	w := newWorld(t)
	source := w.legacy["business-license"]
	for name, c := range map[string]struct {
		err   error
		want  api.TryAnswer
		says  string
		calls int
	}{
		"a day that is none": {&license.SourceError{Cause: license.NotADay, Row: 2, Name: "clrq", Detail: "not a day in any of the layouts"},
			api.TryAnswer{Found: api.TryAnswerFoundFaulty, Row: 2, Column: "clrq", Reason: api.Reason{Code: "not-a-day", Zh: "第 2 行、列 clrq 无法映射：不是所列任一格式的日期"}}, "row 2, column clrq cannot be mapped: not a day", 1},
		"an outage": {&license.SourceError{Cause: license.ConnectionRefused}, // more often than a breaker bears
			api.TryAnswer{Found: api.TryAnswerFoundUnavailable, Reason: api.Reason{Code: "connection-refused", Zh: "连接被拒绝：所配置的地址和端口无人监听"}}, "nothing listens", 9},
		"an adapter of somebody else": {errors.New("password gcheim, " + company.Code),
			api.TryAnswer{Found: api.TryAnswerFoundUnavailable, Reason: api.Reason{Code: "other", Zh: "系统未能应答"}}, "could not answer", 1},
	} {
		source.set(func(l *legacy) { l.err = c.err })
		for range c.calls {
			a := w.call("samr-licenses", "POST", tryPath, tryOf(company, false))
			got := read[api.TryAnswer](t, a)
			if got.Found != c.want.Found || got.Row != c.want.Row || got.Column != c.want.Column || got.Reason.Code != c.want.Reason.Code || got.Reason.Zh != c.want.Reason.Zh || !strings.Contains(got.Reason.En, c.says) {
				t.Errorf("%s: %+v", name, got)
			}
			if a.record.Uses[0].Decision != outcomeUnavailable || strings.Contains(string(a.body), "gcheim") {
				t.Errorf("%s: recorded %+v", name, a.record.Uses)
			}
			if e := must(w.auditor.Evidence(t.Context(), a.index))(t); !strings.Contains(string(e.Inputs), c.says) {
				t.Errorf("%s: the evidence does not say it: %s", name, e.Inputs)
			}
		}
	}
}
