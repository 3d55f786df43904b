package gateway

import (
	_ "embed"
	"errors"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

//go:embed reasons.yaml
var reasonFile []byte

// reasonTexts are the sentences of reasons, parsed once. Tests ensure that it cannot fail.
var reasonTexts = sync.OnceValue(func() map[string]api.Sentence {
	var texts map[string]api.Sentence
	if err := yaml.UnmarshalWithOptions(reasonFile, &texts, yaml.Strict()); err != nil {
		panic(err)
	}
	return texts
})

// reason is a stable code with its sentences: those of reasons.yaml, else of the problem of that code. Any other code is one of the
// policy's, whose own sentences stand in the evidence.
func reason(code string) api.Reason {
	if text, ok := reasonTexts()[code]; ok {
		return api.Reason{Code: code, Zh: text.Zh, En: text.En}
	}
	if k, ok := api.ByCode(code); ok {
		return api.Reason{Code: code, Zh: k.Zh, En: k.En}
	}
	text := reasonTexts()["policy"]
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

// evidenceReason is a reason that only the evidence shows: an error of ours or of a source, which never carries personal data.
func evidenceReason(code string, err error) []api.Reason {
	r := reason(code)
	if err != nil {
		r.En = clip(err.Error(), 500)
	}
	return []api.Reason{r}
}

// reasonCode is the stable code inside an error of the lower rooms; it never contains a value.
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

// sentences joins the English sentences of a refused decision; the problem's own texts are bilingual.
func sentences(rs []policy.Reason) string {
	var out []string
	for _, r := range rs {
		out = append(out, r.En)
	}
	return clip(strings.Join(out, " "), 1000)
}

// clip cuts a text to at most so many bytes, at a character boundary, so that it stays valid JSON.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// refuseFlaws turns validation errors of a registration into a refusal that points at every place.
func refuseFlaws(code string, err error) error {
	var flaws cases.Flaws
	if !errors.As(err, &flaws) {
		return err
	}
	ref := refuse(code)
	faults := make([]api.Fault, len(flaws))
	for i, f := range flaws {
		faults[i] = api.Fault{Pointer: pointer(f.Path), Reason: string(f.Reason)}
	}
	ref.problem.Point(faults...)
	return ref
}

// pointer turns a path such as "parties[1].holder.code" into a JSON pointer.
func pointer(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if name != "" {
			b.WriteString("/" + name)
		}
		if indexed {
			if n, err := strconv.Atoi(strings.TrimSuffix(index, "]")); err == nil {
				b.WriteString("/" + strconv.Itoa(n))
			}
		}
	}
	return b.String()
}
