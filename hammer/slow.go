package hammer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
)

// The matter whose eight materials come from eight systems.
const (
	eightMatter = "YC-EIGHT-08"
	eightCase   = "HM-2026-EIGHT"
	eight       = 8
	slowness    = 50 * time.Millisecond // of each of its sources
	samr        = "11379901MB99103773"
)

// slowSources are eight legacy systems, each of which takes its time over every answer, whatever else it does.
type slowSources struct {
	server *http.Server
	base   string
}

func startSlow() (*slowSources, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start slow sources: %w", err)
	}
	s := &slowSources{server: &http.Server{Handler: http.HandlerFunc(answerSlowly)}, base: "http://" + l.Addr().String()}
	go s.server.Serve(l)
	return s, nil
}

func (s *slowSources) close() error { return s.server.Close() }

// answerSlowly answers with the one permit that the company has here.
func answerSlowly(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	select {
	case <-time.After(slowness):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"list":[{"no":"P%s-%s","code":%q,"name":"云川示例有限公司","scope":"示例经营","from":"20240301","state":"1"}]}`, strings.Trim(r.URL.Path, "/"), code[len(code)-6:], code)
}

// ask asks a system directly, as the floor to compare with.
func (s *slowSources) ask(ctx context.Context, n int, company string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%d?code=%s", s.base, n, company), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = errors.New("a slow source refused")
	}
	return errors.Join(err, res.Body.Close())
}

// each joins a text for each of the eight.
func each(format string, args func(n int) []any) string {
	var b strings.Builder
	for n := 1; n <= eight; n++ {
		fmt.Fprintf(&b, format, args(n)...)
	}
	return b.String()
}

func number(n int) []any { return []any{n} }

// types stand at the end of the catalogue.
func (s *slowSources) types() string {
	return each(`
  - id: permit-%[1]d
    code: `+samr+`90%[1]d
    code_confidence: local
    name: 示例许可%[1]d
    name_en: sample permit %[1]d
    defined_by: {name: 云川市市场监督管理局, code: `+samr+`, level: "3"}
    holder_category: "2"
    validity_range: 长期
    issuers: [`+samr+`]
    fields:
      - {name: scope, title: 许可范围, title_en: scope, kind: text, required: true}
`, number)
}

func (s *slowSources) matters() string {
	return "list: hammer-matters/1\nmatters:\n  - code: " + eightMatter + "\n    name: 八源示例\n    name_en: eight sources\n    department: service\n    materials:\n" + each(`
      - code: permit-%[1]d
        name: 示例许可%[1]d
        name_en: sample permit %[1]d
        is_need: 1
        route: license
        license_type: permit-%[1]d
        fallback: {kind: upload}
`, number)
}

func (s *slowSources) grants() string {
	return "shares:\n" + each("  - {license_type: permit-%d, share: 1, provider: samr}\n", number) +
		"permissions:\n  - {id: eight/cases, systems: [" + acceptance + "], operations: [cases.register], matters: [" + eightMatter + "], basis: load}\n" +
		"grants:\n" + each(`
  - id: eight/permit-%[1]d
    agreement: 示例
    provider: samr
    systems: [`+approval+`]
    license_type: permit-%[1]d
    operations: [cases.check]
    matters: [`+eightMatter+`]
    fields: [name, number, status, holder_name, holder_code, scope]
    basis: load
    basis_kind: rule
    scenario: load
    attestation: platform
    valid_until: "2099-12-31"
`, number)
}

func (s *slowSources) sources() string {
	return "sources:\n" + each(`
  - id: slow-%[1]d
    department: samr
    rest:
      base_url: %[2]s
      calls:
        - method: GET
          path: /%[1]d
          query: {code: "{holder_code}"}
          answer: {records: /list, not_found: [{empty: true}]}
          record:
            type: permit-%[1]d
            number: /no
            issuer: {name: {const: 云川市市场监督管理局}, code: {const: `+samr+`}, level: {const: "3"}}
            issued: {from: /from, layouts: [yyyyMMdd]}
            valid_from: {from: /from, layouts: [yyyyMMdd]}
            status: {from: /state, list: hammer/1, codes: {"1": valid}}
            holders: {code: /code, name: /name, type: {const: "001"}}
            fields: {scope: /scope}
`, func(n int) []any { return []any{n, s.base} })
}

// slowest asks all eight at once, and says how long the slowest took.
func (s *slowSources) slowest(ctx context.Context, company string) (time.Duration, error) {
	errs := make([]error, eight)
	begin := time.Now()
	var all sync.WaitGroup
	for n := range eight {
		all.Go(func() { errs[n] = s.ask(ctx, n+1, company) })
	}
	all.Wait()
	return time.Since(begin), errors.Join(errs...)
}

// countMet counts the materials that an answer calls met.
func countMet(body []byte) (met int) {
	var e struct {
		Answer api.CheckAnswer `json:"answer"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return 0
	}
	for _, m := range e.Answer.Materials {
		if m.State == api.MaterialStateMet {
			met++
		}
	}
	return met
}
