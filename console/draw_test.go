package console

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/console/session"
	"oncegate/deploy"
	"oncegate/gateway"
	"oncegate/gateway/sources"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/verdict"
)

// A desk is a console whose gate lets one made-up clerk in, and whose gateway answers as the test says: for the states that a page can have.
type desk struct {
	t       testing.TB
	console *Console
	server  *httptest.Server
	session *session.Session
	now     time.Time
	stale   bool // the second factor was given long ago
	answer  func(operation string, q gateway.Question) (*gateway.Reply, error)

	mu    sync.Mutex // protects what follows
	kept  map[string][]byte
	calls []string
}

const formToken = "form-token-of-the-test"

// atDesk makes a desk.
func atDesk(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	d := &desk{t: t, kept: map[string][]byte{}, now: time.Date(2026, 11, 30, 1, 16, 0, 0, time.UTC)}
	d.session = &session.Session{
		Person: gateway.Person{ID: "CK-0311"}, Name: "周晓梅", Hall: "street-service", Department: "service", Roles: []string{session.Clerk}, Desk: "3", FormToken: formToken,
		Opened: d.now, Ends: d.now.Add(8 * time.Hour),
	}
	snapshot := citySnapshot(t)
	settings := sampleSettings(t)
	c := Config{Caller: d, Snapshot: func() *gateway.Snapshot { return snapshot }, Settings: func() session.Settings { return settings }, NewSM3: sm.New, Prove: proves, Now: func() time.Time { return d.now }}
	for _, f := range change {
		f(&c)
	}
	var err error
	if d.console, err = New(c); err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewServer(d.console.Handler(d))
	t.Cleanup(d.server.Close)
	return d
}

// Do implements Caller.
func (d *desk) Do(_ context.Context, _ gateway.Principal, operation string, q gateway.Question) (*gateway.Reply, error) {
	d.mu.Lock()
	d.calls = append(d.calls, operation)
	d.mu.Unlock()
	return d.answer(operation, q)
}

// Handler implements Gate: everybody is the clerk.
func (d *desk) Handler(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.SetHeaders(w.Header())
		if r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			_ = r.ParseMultipartForm(8 << 20)
		} else {
			_ = r.ParseForm()
		}
		pages.ServeHTTP(w, r.WithContext(session.Into(r.Context(), d.session)))
	})
}

// Keep implements Gate.
func (d *desk) Keep(_ context.Context, _ *session.Session, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept[key] = value
	return nil
}

// Kept implements Gate.
func (d *desk) Kept(_ context.Context, _ *session.Session, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.kept[key]; ok {
		return v, nil
	}
	return nil, fs.ErrNotExist
}

// Fresh implements Gate: the clerk has just proven who they are, unless the test says otherwise.
func (d *desk) Fresh(context.Context) bool { return !d.stale }

// Again implements Gate.
func (d *desk) Again(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "once more", http.StatusForbidden)
}

// Share implements Gate.
func (d *desk) Share(_ context.Context, key string, value []byte, _ time.Time) error {
	return d.Keep(context.Background(), nil, "shared/"+key, value)
}

// Shared implements Gate.
func (d *desk) Shared(_ context.Context, key string) ([]byte, error) {
	return d.Kept(context.Background(), nil, "shared/"+key)
}

// PreferencesOf implements Gate.
func (d *desk) PreferencesOf(*http.Request) session.Preferences { return d.session.Preferences }

func (d *desk) called() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// get reads a page.
func (d *desk) get(path string) string {
	d.t.Helper()
	return d.body(http.Get(d.server.URL + path))
}

// post sends a form and follows where it leads.
func (d *desk) post(path string, pairs ...string) string {
	d.t.Helper()
	f := url.Values{"form": {formToken}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return d.body(http.PostForm(d.server.URL+path, f))
}

func (d *desk) body(res *http.Response, err error) string {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, res.Body); err != nil {
		d.t.Fatal(err)
	}
	if res.StatusCode >= 500 {
		d.t.Fatalf("%s: %d\n%s", res.Request.URL.Path, res.StatusCode, b.String())
	}
	return b.String()
}

// citySnapshot is what the sample city's configuration says, without keys and sources.
func citySnapshot(t testing.TB) *gateway.Snapshot {
	t.Helper()
	s := &gateway.Snapshot{Book: &cases.Book{}, Catalogue: &license.Catalogue{}, Systems: map[string]gateway.System{}, Departments: map[string]string{}, Serves: map[string]string{}}
	read := func(name string, into any) {
		t.Helper()
		data, err := fs.ReadFile(deploy.City(), name)
		if err == nil {
			err = yaml.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(name, err)
		}
	}
	read("matters.yaml", s.Book)
	read("catalogue.yaml", s.Catalogue)
	s.Calendar = &cases.Calendar{}
	read("calendar.yaml", s.Calendar)
	var main struct {
		Departments []struct{ ID, Name string }
		Systems     []struct{ ID, Name, Department string }
	}
	read("oncegate.yaml", &main)
	for _, d := range main.Departments {
		s.Departments[d.ID] = d.Name
	}
	for _, one := range main.Systems {
		s.Systems[one.ID] = gateway.System{ID: one.ID, Name: one.Name, Department: one.Department}
	}
	var files []policy.File
	for _, name := range []string{"policy/grants.yaml", "policy/permissions.yaml", "policy/guards.cedar"} {
		data, err := fs.ReadFile(deploy.City(), name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, policy.File{Path: filepath.Base(name), Data: data})
	}
	set, faults := policy.New(policy.Data{Files: files, NewSM3: sm.New})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	s.Policy = set
	for licenseType, department := range map[string]string{
		"business-license": "samr", "resident-id": "police", "real-estate-certificate": "land", "tax-clearance": "tax", "marriage-certificate": "civil", "food-business-license": "samr",
	} {
		s.Serves[licenseType] = department + "-source"
		s.Sources = append(s.Sources, sources.Config{ID: department + "-source", Department: department})
	}
	return s
}

func answered(t testing.TB, answer any) *gateway.Reply {
	t.Helper()
	text, err := json.Marshal(struct {
		Answer  any      `json:"answer"`
		Receipt struct{} `json:"receipt"`
	}{Answer: answer})
	if err != nil {
		t.Fatal(err)
	}
	return &gateway.Reply{Status: 200, Body: text, Record: 28}
}

func refused(code string) *gateway.Reply {
	p := api.NewProblem(code)
	return &gateway.Reply{Status: p.Status, Problem: p, Code: code, Record: 29}
}

// flat is the check of a transfer of real estate in which something is not met.
func (d *desk) flat(change func(m map[string]*api.CheckedMaterial)) func(string, gateway.Question) (*gateway.Reply, error) {
	return func(operation string, q gateway.Question) (*gateway.Reply, error) {
		a := api.CheckAnswer{Case: q.Path["no"], Matter: "YC-LAND-07", CanProceed: true, Time: api.At(d.now), Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Operation: "cases.check"}
		matter, _ := d.console.Snapshot().Book.Matter("YC-LAND-07")
		byCode := map[string]*api.CheckedMaterial{}
		for _, m := range matter.Materials {
			a.Materials = append(a.Materials, api.CheckedMaterial{
				Matter: "YC-LAND-07", Material: m.Code, Name: m.Name, NameEn: m.NameEN, Need: api.Need(m.Need), LicenseType: m.LicenseType, State: api.MaterialStateMet,
				Source: d.console.Snapshot().Serves[m.LicenseType], Freshness: api.FreshnessLive, AsOf: api.At(d.now), Rules: []string{},
			})
		}
		for i := range a.Materials {
			byCode[a.Materials[i].Material] = &a.Materials[i]
		}
		byCode["applicant-id"].Fields = api.Fields{"holder_name": "王建国", "holder_code": "379901198503072316", "name": "居民身份证", "status": "valid"}
		byCode["real-estate-certificate"].Fields = api.Fields{"holder_name.0": "王建国", "holder_name.1": "李秀英", "number": "云(2021)云川市不动产权第0001234号", "location": "云川市示例区和平路 18 号 3 幢 2 单元 501 室", "ownership": "共同共有", "area": "96.4"}
		if change != nil {
			change(byCode)
		}
		for _, m := range a.Materials {
			if m.State != api.MaterialStateMet && m.Need == 1 {
				a.CanProceed = false
			}
		}
		return answered(d.t, a), nil
	}
}

func taxDown(m map[string]*api.CheckedMaterial) {
	tax := m["tax-clearance"]
	tax.State, tax.Reason, tax.AsOf, tax.Freshness = api.MaterialStateUnavailable, api.Reason{Code: "source-unavailable"}, api.Time{}, ""
	tax.Fallback = api.Fallback{Kind: api.FallbackKindTolerate, Deadline: "2026-12-14"}
}

func manyThings(m map[string]*api.CheckedMaterial) {
	taxDown(m)
	flat := m["real-estate-certificate"]
	flat.State, flat.Reason, flat.Fallback, flat.Fields = api.MaterialStateLapsed, api.Reason{Code: "revoked"}, api.Fallback{Kind: api.FallbackKindUpload}, nil
	marriage := m["marriage-certificate"]
	marriage.State, marriage.Reason, marriage.Fallback = api.MaterialStateMissing, api.Reason{Code: "not-found"}, api.Fallback{Kind: api.FallbackKindPromise, Deadline: "2026-12-21"}
	spouse := m["spouse-id"]
	spouse.State, spouse.Reason, spouse.Fallback, spouse.Source, spouse.AsOf = api.MaterialStateDenied, api.Reason{Code: "attestation-too-weak"}, api.Fallback{Kind: api.FallbackKindUpload}, "", api.Time{}
}

func sampleSettings(t testing.TB) session.Settings {
	return session.Settings{Halls: []session.Hall{{
		System: "street-service", Name: "示例街道便民服务中心", Roles: []string{session.Clerk}, Desks: []string{"1", "2", "3"}, Matters: []string{"YC-FOOD-01", "YC-FOOD-02", "YC-LAND-07"}, Phone: "0379-5550 8110",
		Address: "云川市示例区和平路 2 号一楼大厅", Prefix: "SL01", Notice: session.Notice{Version: "2026-03", Text: "为办理您申请的事项，本窗口将通过云川市政务数据共享向持有相关证照的部门核验您和其他当事人的证照信息，只取办理所需的项目，依据为该事项的法律法规，无须您另行同意。\n核验会留下记录。您可以查询谁在什么时候为什么事核验过，认为不对的可以申请校核。"},
	}}}
}

// proves proves whatever it is given.
func proves(context.Context, []byte) verdict.Verified {
	return verdict.Verified{Verdict: api.VerdictProven, Kind: verdict.Receipt, Says: api.Sentence{Zh: "已证实。", En: "Proven."}, Steps: []check.Step{{Name: "checkpoint", State: check.OK}}}
}
