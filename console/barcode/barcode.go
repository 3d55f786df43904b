// Package barcode says what a code stands for that somebody scans at a window: the bar code of an acceptance slip (受理单), a personal QR code
// (身份码), an electronic business license (电子营业执照). Which codes there are is data: patterns whose parts are the answer, or an
// interface of the platform that issues the codes.
package barcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/fault"
)

// A Rule is one kind of code. The first rule whose pattern matches the whole code counts.
type Rule struct {
	// Pattern is a regular expression (RE2) that matches the whole code. Its first group, or the code where it has none, is what counts.
	Pattern string `yaml:"pattern"`
	// Means says what the code stands for: "case", the number of a case, or "holder", the code of a person or organisation.
	Means string `yaml:"means"`
	// Type is the type of a holder's code, such as "111" (公民身份号码); empty: told by its form.
	Type string `yaml:"type"`
	// URL is the interface that knows what the code stands for; empty: the pattern's group itself does. It gets POST {"code", "system", "case"} and
	// answers {"case"} or {"type", "code"}, or 404. https, but on this machine. Where it is an identity service that the configuration trusts
	// (assertions), it may answer {"assertion"}, too: signed for "case", the number and the system that it was asked with. Then the holder vouches
	// for the case that the hall registers under that number.
	URL string `yaml:"url"`
	// TokenFile holds the bearer token for URL.
	TokenFile string `yaml:"token_file"`
}

// What a code can stand for.
const (
	Case   = "case"
	Holder = "holder"
)

// A Meaning is what a code stands for: a case, or a holder.
type Meaning struct {
	Case   string // number
	Holder string // code
	Type   string // of the holder's code; empty: told by its form
	// Assertion is the identity service's word that the holder shows the code for the case that was named (gateway.Assertion); empty: there is none.
	Assertion string
}

// Bounds of a resolution.
const (
	MaxCode   = 2048            // bytes of a code
	maxAnswer = 16 << 10        // bytes of an interface's answer
	patience  = 2 * time.Second // for it
)

// Check reports every fault of the rules, by YAML path.
func Check(rules []Rule) (f fault.List) {
	for i, r := range rules {
		at := fmt.Sprintf("$[%d]", i)
		_, err := r.compile()
		f.Unless(r.Pattern != "" && err == nil, at+".pattern", "a regular expression is expected")
		f.Unless(r.Means == Case || r.Means == Holder, at+".means", "case or holder is expected")
		f.Unless(r.Type == "" || r.Means == Holder, at+".type", "only a holder's code has a type")
		f.Unless(r.URL == "" || secure(r.URL), at+".url", "an https address is expected, or http on this machine")
		f.Unless(r.TokenFile == "" || r.URL != "", at+".token_file", "a token is for an interface: url is missing")
	}
	return f
}

func (r Rule) compile() (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + r.Pattern + `)$`) }

func secure(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127."))
}

// A Reader reads codes by rules. It never changes and is safe for concurrent use.
type Reader struct {
	rules  []compiled
	client *http.Client
}

type compiled struct {
	Rule
	pattern *regexp.Regexp
}

// NewReader makes a reader of rules that have no faults.
func NewReader(rules []Rule) (*Reader, error) {
	r := &Reader{client: &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	for _, one := range rules {
		pattern, err := one.compile()
		if err != nil {
			return nil, errors.New("a pattern of a code is no regular expression")
		}
		r.rules = append(r.rules, compiled{one, pattern})
	}
	return r, nil
}

// Resolve says what a code stands for, for the system of a hall. number is that of the case which the hall would register for its holder. fs.ErrNotExist: for nothing that the rules know. Errors do not repeat the code.
func (r *Reader) Resolve(ctx context.Context, code, system, number string) (Meaning, error) {
	if len(code) > MaxCode {
		return Meaning{}, fs.ErrNotExist
	}
	for _, rule := range r.rules {
		found := rule.pattern.FindStringSubmatch(code)
		if found == nil {
			continue
		}
		value := found[0]
		if len(found) > 1 {
			value = found[1]
		}
		if rule.URL != "" {
			return r.ask(ctx, rule.Rule, value, system, number)
		}
		if rule.Means == Case {
			return Meaning{Case: value}, nil
		}
		return Meaning{Holder: value, Type: rule.Type}, nil
	}
	return Meaning{}, fs.ErrNotExist
}

// ask asks the interface of a rule.
func (r *Reader) ask(ctx context.Context, rule Rule, code, system, number string) (Meaning, error) {
	body, err := json.Marshal(map[string]string{"code": code, "system": system, "case": number}, json.Deterministic(true))
	if err != nil {
		return Meaning{}, errors.New("the code is no text")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rule.URL, bytes.NewReader(body))
	if err != nil {
		return Meaning{}, errors.New("the address of the interface of codes cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	if rule.TokenFile != "" {
		token, err := os.ReadFile(rule.TokenFile)
		if err != nil {
			return Meaning{}, errors.New("the token of the interface of codes cannot be read")
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	res, err := r.client.Do(req)
	if err != nil {
		return Meaning{}, errors.New("the interface of codes did not answer")
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return Meaning{}, fs.ErrNotExist
	default:
		return Meaning{}, fmt.Errorf("the interface of codes answered with status %d", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	var answer struct{ Case, Type, Code, Assertion string }
	if err != nil || len(text) > maxAnswer || json.Unmarshal(text, &answer, json.MatchCaseInsensitiveNames(true)) != nil {
		return Meaning{}, errors.New("the answer of the interface of codes cannot be read")
	}
	switch {
	case rule.Means == Case && answer.Case != "":
		return Meaning{Case: answer.Case}, nil
	case rule.Means == Holder && answer.Code != "":
		return Meaning{Holder: answer.Code, Type: answer.Type, Assertion: answer.Assertion}, nil
	}
	return Meaning{}, fs.ErrNotExist
}
