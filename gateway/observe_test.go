package gateway

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/certs/token"
)

// Every call of a known caller has one log line, with words of the configuration and the problem table only, and the request
// id made safe; callers who proved nothing have lines of their own that repeat nothing.
func TestOneLinePerCall(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	evil := `x" msg=forged ` + boss.Code + " 甲乙丙"
	body := w.bodyOf(query("business-license", company, "SP-1"))
	w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.Request = evil }))
	w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-1"))
	w.call("food-approval", "POST", queryPath, []byte("{"))
	w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.Issuer = "moon-" + boss.Code }))
	if err := w.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))

	form := regexp.MustCompile(`^time=\S+ level=INFO msg=call operation=[a-z.]+ system=[a-z-]+ request=\S+ code=[a-z-]+ decisions="?[a-z:0-9 ]*"? ms=[0-9.e+-]+( record=[0-9]+)?$`)
	var codes []string
	for line := range strings.Lines(w.lines.String()) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.Contains(line, "msg=call ") {
			if strings.Contains(line, "forged") || strings.Contains(line, "moon") {
				t.Errorf("forged: %s", line)
			}
			continue
		}
		if !form.MatchString(line) {
			t.Errorf("line %s", line)
		}
		code := regexp.MustCompile(` code=(\S+) decisions="?([^"]*?)"? ms=`).FindStringSubmatch(line)
		codes = append(codes, code[1]+" "+code[2])
	}
	want := []string{"ok noted:2", "ok release:1", "ok confirm:1 met:2", "case-not-usable denied:1", "malformed-json ", "record-unavailable "}
	if !slices.Equal(codes, want) {
		t.Errorf("got %q, want %q", codes, want)
	}
	if n := strings.Count(w.lines.String(), `msg="unauthenticated caller refused" code=token-unknown-key`); n != 1 {
		t.Errorf("%d lines about who proved nothing", n)
	}
}

// Every label of every figure comes from a table of ours.
func TestLabelsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	for _, path := range []string{"/v1/moon", "/v1/cases/" + boss.Code + "/check", queryPath} {
		w.send("POST", path, []byte("{}"), "a.b.c")
		w.call("food-approval", "POST", path, map[string]any{"x": boss.Code})
	}
	w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	known := map[string]func(string) bool{
		"operation": func(v string) bool { return w.gateway.contract.Operation(v) != nil },
		"code":      func(v string) bool { _, ok := api.ByCode(v); return ok || v == "ok" },
		"source":    func(v string) bool { return w.gateway.running.Load().sources[v] != nil },
		"outcome":   func(v string) bool { return slices.Contains([]string{"ok", "failed", "refused", "busy"}, v) },
		"system":    func(v string) bool { _, ok := w.gateway.running.Load().Systems[v]; return ok },
		"share": func(v string) bool {
			return slices.Contains([]string{"rate", "calls", "memory", "verifications"}, v)
		},
		"state": func(v string) bool {
			return slices.Contains([]string{"met", "missing", "lapsed", "mismatched", "denied", "unavailable"}, v)
		},
	}
	for _, family := range must(w.metrics.Gather())(t) {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if ok := known[label.GetName()]; ok == nil || !ok(label.GetValue()) {
					t.Errorf("%s has %s=%q", family.GetName(), label.GetName(), label.GetValue())
				}
			}
		}
	}
}
