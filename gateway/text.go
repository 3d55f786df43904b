package gateway

import (
	_ "embed"
	"errors"
	"sync"

	"github.com/goccy/go-yaml"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

//go:embed reasons.yaml
var reasonFile []byte

// reasonTexts are the sentences of reasons, read once. It cannot fail in a binary whose tests ran.
var reasonTexts = sync.OnceValue(func() map[string]api.Sentence {
	var texts map[string]api.Sentence
	if err := yaml.UnmarshalWithOptions(reasonFile, &texts, yaml.Strict()); err != nil {
		panic(err)
	}
	return texts
})

// reason puts a stable code into words. A code without words of its own is one of the policy's, whose own sentences the
// evidence has.
func reason(code string) api.Reason {
	text, ok := reasonTexts()[code]
	if !ok {
		text = reasonTexts()["policy"]
	}
	return api.Reason{Code: code, Zh: text.Zh, En: text.En}
}

// ofPolicy are a decision's reasons as they go over the wire.
func ofPolicy(reasons []policy.Reason) (out []api.Reason) {
	for _, r := range reasons {
		out = append(out, api.Reason{Code: r.Code, Rule: r.Rule, Zh: r.Zh, En: r.En})
	}
	return out
}

// ofCase are the reasons that facts, roles and consents give.
func ofCase(reasons ...cases.Reason) (out []api.Reason) {
	for _, r := range reasons {
		out = append(out, reason(string(r)))
	}
	return out
}

// inside is a reason that only the evidence shows: an error of ours or of a source, which never carries personal data.
func inside(code string, err error) []api.Reason {
	r := reason(code)
	if err != nil {
		r.En = err.Error()
	}
	return []api.Reason{r}
}

// reasonCode is the stable code inside an error of the lower rooms: never a value.
func reasonCode(err error) string {
	if r := cases.ReasonOf(err); r != "" {
		return string(r)
	}
	var r license.Reason
	if errors.As(err, &r) {
		return string(r)
	}
	return "invalid"
}
