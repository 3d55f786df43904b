package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oncegate/api"
	"oncegate/certs/ofd"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/document"
	"oncegate/document/documenttest"
	"oncegate/license"
	"oncegate/register"
)

const renderPath = "/v1/licenses/render"

// documented is a world whose licenses have a document form.
func documented(t testing.TB) (*world, *documenttest.Bureau) {
	t.Helper()
	w := newWorld(t)
	b := documenttest.New(t, w.certs, "../deploy/city", map[string]string{
		samr: "云川市市场监督管理局", police: "云川市公安局", land: "云川市自然资源局", civil: "云川市民政局",
	})
	w.reload(func(s *Snapshot) {
		s.Documents = b
		s.Departments = map[string]string{"samr": "云川市市场监督管理局", "police": "云川市公安局", "land": "云川市自然资源局", "civil": "云川市民政局", "service": "云川市行政审批服务局", "court": "云川市人民法院"}
	})
	return w, b
}

func asForm(q map[string]any, form string) map[string]any {
	q = maps.Clone(q)
	q["form"] = form
	return q
}

// bytesOf is the file in a document, which must be what its digest says.
func bytesOf(t testing.TB, d api.LicenseDocument) []byte {
	t.Helper()
	data := must(base64.RawURLEncoding.DecodeString(d.Content))(t)
	if sum := sm.Digest(data); base64.RawURLEncoding.EncodeToString(sum[:]) != d.SM3 || len(data) == 0 {
		t.Errorf("the %s of %d bytes is not what its digest says", d.Form, len(data))
	}
	return data
}

// holdsAs judges a package: none of its steps may fail, and it has one signature of a type.
func holdsAs(t testing.TB, b *documenttest.Bureau, pkg []byte, kind string) *ofd.Package {
	t.Helper()
	r := must(ofd.Verify(t.Context(), bytes.NewReader(pkg), int64(len(pkg)), b.Judges))(t)
	if len(r.Signatures) != 1 || r.Signatures[0].Type != kind {
		t.Fatalf("%+v", r.Signatures)
	}
	for _, s := range slices.Concat(r.Steps, r.Signatures[0].Steps) {
		if s.State == check.Failed {
			t.Errorf("%s: %s", s.Name, s.Reason)
		}
	}
	return must(ofd.Open(t.Context(), bytes.NewReader(pkg), int64(len(pkg))))(t)
}

// A query in the document form brings the license with an annotated copy that verifies by itself.
func TestDocumentForm(t *testing.T) {
	w, b := documented(t)
	w.accept("SP-1")
	q := query("business-license", company, "SP-1")
	plain := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, q)).Licenses[0]
	if plain.Document.Form != "" || b.Sealed.Load() != 0 {
		t.Error("a query without form has a document")
	}
	got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, asForm(q, "ofd"))).Licenses[0]
	p := holdsAs(t, b, bytesOf(t, got.Document), "Sign")
	info, _ := p.Copy()
	original := base64.RawURLEncoding.EncodeToString(info.Original)
	if got.License != plain.License || got.Document.OriginalSM3 != original || info.Maker != "云川市市场监督管理局" || info.Reason != "食品经营许可" ||
		!info.Expires.Equal(got.Document.Expires.Time) || got.Document.Expires.Sub(w.now()) < 29*24*time.Hour || got.Document.Name != got.Identifier+".ofd" || got.Document.MediaType != "application/ofd" {
		t.Errorf("%+v, %+v", info, got.Document.Name)
	}
	said := documenttest.Read(t, "ofd", bytesOf(t, got.Document))
	for _, part := range []string{"SP-1", "有效期至", "仅供"} {
		if !said.Holds(part) {
			t.Errorf("the watermark does not say %s", part)
		}
	}
	if !said.Holds("本次未共享") || said.Holds("同等效力") || !said.Holds("不代替证照原件") {
		t.Error("the copy does not note what was not granted, or claims the force of the original")
	}
	pdf := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, asForm(q, "pdf"))).Licenses[0].Document
	if data := bytesOf(t, pdf); !bytes.HasPrefix(data, []byte("%PDF-")) || pdf.OriginalSM3 != original || pdf.MediaType != "application/pdf" {
		t.Errorf("%s %s", pdf.MediaType, pdf.OriginalSM3)
	}
	w.refused(w.call("food-approval", "POST", queryPath, asForm(q, "png")), "invalid-field")
}

// A basis other than a case is named by its title, with the reference of the call.
func TestDocumentForAnotherBasis(t *testing.T) {
	w, b := documented(t)
	q := map[string]any{"license_type": "real-estate-certificate", "holder": wife, "purpose": map[string]any{"basis": "court-enforcement", "reference": "云执2026-77"}, "form": "ofd"}
	got := read[api.QueryAnswer](t, w.call("court-enforcement-system", "POST", queryPath, q)).Licenses[0]
	pkg := bytesOf(t, got.Document)
	if info, _ := holdsAs(t, b, pkg, "Sign").Copy(); info.Reason != "法院执行查询" {
		t.Errorf("%+v", info)
	}
	if said := documenttest.Read(t, "ofd", pkg); !said.Holds("云执2026-77") {
		t.Error("the watermark does not name the file")
	}
}

// The original is sealed once: for a hundred copies, across a restart, and on two nodes that need it at the same moment.
func TestOriginalIsSealedOnce(t *testing.T) {
	w, b := documented(t)
	w.accept("SP-1")
	nodes := []*httptest.Server{w.server, w.node(b)} // two nodes over one database
	q := query("business-license", company, "SP-1")
	read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, q)) // signed, not sealed
	ask := func(node *httptest.Server, form string) string {
		return read[api.QueryAnswer](t, w.callAt(node, "food-approval", queryPath, asForm(q, form))).Licenses[0].Document.OriginalSM3
	}
	const each = 4
	first := make([]string, 2*each)
	var all sync.WaitGroup
	for i := range first {
		all.Go(func() { first[i] = ask(nodes[i%2], "pdf") })
	}
	all.Wait()
	sealed := b.Sealed.Load()
	if sort.Strings(first); first[0] != first[len(first)-1] || first[0] == "" {
		t.Errorf("copies name different originals: %q", first)
	}
	if sealed < 1 || sealed > 2 {
		t.Errorf("two nodes sealed %d times", sealed)
	}
	for i := range 100 - len(first) {
		if i == 50 {
			nodes[0] = w.node(b) // a restart: nothing is left in memory
		}
		if got := ask(nodes[i%2], []string{"pdf", "ofd"}[i/2%2]); got != first[0] {
			t.Fatalf("copy %d names another original", i)
		}
	}
	if n := b.Sealed.Load(); n != sealed {
		t.Errorf("%d more seals for the copies after the first", n-sealed)
	}
	for _, node := range nodes {
		if a := read[api.RenderAnswer](t, w.callAt(node, "samr-licenses", renderPath, renderOf("ofd"))); a.Document.SM3 != first[0] {
			t.Error("the department gets another original")
		}
	}
	if n := b.Sealed.Load(); n != sealed {
		t.Errorf("rendering sealed again")
	}
}

// node is another gateway over the world's database, with a register of its own.
func (w *world) node(b *documenttest.Bureau) *httptest.Server {
	w.t.Helper()
	next := *w.gateway.running.Load().Snapshot
	secret := sm.Digest([]byte("register"))
	next.Register = must(register.New(register.Config{
		Storage: w.db.Register(), Issuer: newIssuer(w.certs), Sealer: w.ring, Catalogue: next.Catalogue, NewSM3: sm.New, Key: secret[:], BaseURL: publicURL,
	}))(w.t)
	next.Documents = b
	c := w.gateway.Config
	c.Metrics = prometheus.NewRegistry()
	server := httptest.NewServer(must(New(c, &next))(w.t))
	w.t.Cleanup(server.Close)
	return server
}

// callAt is call of one node.
func (w *world) callAt(node *httptest.Server, system, path string, body any) answered {
	w.t.Helper()
	raw := w.bodyOf(body)
	compact := w.token(system, "POST", path, raw, nil)
	r := w.request("POST", path, raw, compact)
	r.URL = must(url.Parse(node.URL + path))(w.t)
	return w.do(r, compact)
}

// Law 3: whatever fields are granted and asked for, nothing else of the license stands in its document.
func TestDocumentLeaksNothing(t *testing.T) {
	w, _ := documented(t)
	w.accept("SP-1")
	w.acceptFlat("BDC-1")
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 9))
		record := []license.License{businessLicense(), identityCard(boss, names[boss]), flat("不动产权第0001号", wife, husband), marriage()}[seed%4]
		q := query(record.Type, record.Holders[0].HolderID, []string{"SP-1", "BDC-1"}[seed%4/2])
		system := []string{"food-approval", "land-approval"}[seed%4/2]
		granted := read[api.QueryAnswer](t, w.call(system, "POST", queryPath, q)).Decision.Fields
		if len(granted) == 0 {
			t.Fatalf("%s is not granted", record.Type)
		}
		q["fields"] = some(r, granted, 1)
		form := []string{"ofd", "pdf"}[seed/4%2]
		got := read[api.QueryAnswer](t, w.call(system, "POST", queryPath, asForm(q, form))).Licenses[0]
		said := documenttest.Read(t, form, bytesOf(t, got.Document))
		kind, _ := w.base.Catalogue.Type(record.Type)
		released := strings.Join(slices.Collect(maps.Values(got.Fields)), "\n")
		for _, claim := range must(license.Claims(kind, record))(t) {
			_, ok := got.Fields[claim.Path]
			compact := strings.ReplaceAll(claim.Value, "-", "") // an identity number says when its holder was born
			// The type's name is the page's title, and the issuer, who stands openly in every license, gives out the copy.
			public := claim.Field == license.FieldName || claim.Field == license.FieldIssuerName || claim.Field == license.FieldIssuerCode
			if ok || public || len([]rune(claim.Value)) < 3 || strings.Contains(released, claim.Value) || claim.Field == license.FieldHolderCodeType {
				continue
			}
			if claim.Value != license.Unlimited && (said.Holds(claim.Value) || strings.Count(claim.Value, "-") == 2 && !strings.Contains(released, compact) && said.Holds(compact)) {
				t.Errorf("seed %d: %s of a %s stands in its %s, and only %s are granted", seed, claim.Path, record.Type, form, q["fields"])
			}
		}
	}
}

// What has no document says why, and nothing of the license; the license itself is there to be asked for without it.
func TestNoDocument(t *testing.T) {
	w, b := documented(t)
	w.accept("SP-1")
	company := company
	set := func(change func(*license.License)) {
		l := businessLicense()
		change(&l)
		w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
	}
	ask := func(fields ...string) answered {
		q := asForm(query("business-license", company, "SP-1"), "ofd")
		if len(fields) > 0 {
			q["fields"] = fields
		}
		return w.call("food-approval", "POST", queryPath, q)
	}
	const rare = "张\U00031340"
	for name, c := range map[string]struct {
		change func(*license.License)
		fields []string
		code   string
	}{
		"glyph":                {func(l *license.License) { l.Fields["legal_representative"] = rare }, nil, "document-no-glyph"},
		"glyph of what stays":  {func(l *license.License) { l.Fields["legal_representative"] = rare }, []string{"holder_name"}, "document-no-original"},
		"length":               {func(l *license.License) { l.Fields["enterprise_type"] = strings.Repeat("有限责任", 120) }, nil, "document-does-not-fit"},
		"length of what stays": {func(l *license.License) { l.Fields["enterprise_type"] = strings.Repeat("有限责任", 120) }, []string{"holder_name"}, "document-no-original"},
	} {
		t.Run(name, func(t *testing.T) {
			set(c.change)
			a := ask(c.fields...)
			w.refused(a, c.code)
			w.impersonal(name, string(a.body))
			if strings.Contains(string(a.body), "31340") || strings.Contains(string(a.body), "legal_rep") || strings.Contains(string(a.body), "enterprise_type") || len(a.record.Uses[0].Fields) != 0 {
				t.Errorf("%s", a.body)
			}
			m := material(t, w.check("food-approval", "SP-1", map[string]any{"documents": []any{map[string]any{"material": "business-license", "form": "pdf"}}}), "business-license")
			if m.State != api.MaterialStateMet || m.License == "" || m.Document.Form != "" || !strings.HasPrefix(m.Undrawn.Code, "document-") || m.Undrawn.Zh == "" {
				t.Errorf("%+v", m)
			}
		})
	}
	set(func(*license.License) {})
	for i := range maxDocuments {
		l := businessLicense()
		l.Number += string(rune('A' + i))
		w.put(l)
	}
	w.refused(ask(), "document-too-many")
	set(func(*license.License) {})
	w.refused(w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{"documents": []any{map[string]any{"material": "unheard-of", "form": "pdf"}}}), "unknown-material")

	unsealed := b.Config
	unsealed.Seal = nil
	w.reload(func(s *Snapshot) { s.Documents = must(document.New(unsealed))(t) })
	set(func(l *license.License) { l.Fields["address"] = "云川市和平路4号" }) // the next version, which has no original yet
	w.refused(ask(), "document-no-seal")
	w.reload(func(s *Snapshot) { s.Documents = nil })
	w.refused(ask(), "document-no-layout")
}

// notInForce are licenses that are not in force today, by why.
func notInForce(t testing.TB, now time.Time) map[string]license.License {
	day := func(n int) license.Date { return must(license.DateOf(now).AddDays(n))(t) }
	out := map[string]license.License{}
	for name, change := range map[string]func(*license.License){
		"suspended":  func(l *license.License) { l.Status = license.Suspended },
		"revoked":    func(l *license.License) { l.Status = license.Revoked },
		"superseded": func(l *license.License) { l.Status = license.Superseded },
		"expired":    func(l *license.License) { l.Status = license.Expired },
		"ended":      func(l *license.License) { l.ValidTo = day(-1) }, // its source did not notice
		"not begun":  func(l *license.License) { l.ValidFrom = day(1) },
	} {
		l := businessLicense()
		change(&l)
		out[name] = l
	}
	return out
}

// Of a license that is not in force there is no copy, because a copy outlives what its answer says.
func TestNoCopyOfWhatIsNotInForce(t *testing.T) {
	w, b := documented(t)
	w.accept("SP-1")
	for name, l := range notInForce(t, w.now()) {
		l.Number += name // licenses of their own
		w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
		got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, asForm(query("business-license", company, "SP-1"), "pdf"))).Licenses[0]
		if got.Document.Form != "" || got.Undrawn.Code != "document-not-in-force" || got.License == "" || b.Sealed.Load() != 0 {
			t.Errorf("%s: document %q, %s", name, got.Document.Form, got.Undrawn.Code)
		}
		m := material(t, w.check("food-approval", "SP-1", map[string]any{"documents": []any{map[string]any{"material": "business-license", "form": "ofd"}}}), "business-license")
		if m.Document.Form != "" || b.Sealed.Load() != 0 {
			t.Errorf("%s: a %s material has a document", name, m.State)
		}
	}
}

// A department gets no sealed original of a license that is not in force, not even one that was sealed before, and its pictures
// say so across the page.
func TestRenderOfWhatIsNotInForce(t *testing.T) {
	w, b := documented(t)
	words := map[string]string{
		"suspended": "已暂停", "revoked": "已失效", "superseded": "已换发", "expired": "已失效", "ended": "已过期", "not begun": "尚未生效",
	}
	render := func(l license.License, form string) answered {
		q := renderOf(form)
		q["number"] = l.Number
		return w.call("samr-licenses", "POST", renderPath, q)
	}
	for name, l := range notInForce(t, w.now()) {
		put := func(l license.License) {
			w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
		}
		sealedBefore := name == "suspended" || name == "revoked" // the same version: its original is kept
		if l.Number += "-" + strings.ReplaceAll(name, " ", ""); sealedBefore {
			valid := l
			valid.Status = license.Valid
			put(valid)
			holdsAs(t, b, bytesOf(t, read[api.RenderAnswer](t, render(valid, "ofd")).Document), "Seal")
		}
		put(l)
		sealed := b.Sealed.Load()
		a := render(l, "ofd")
		w.refused(a, "document-not-in-force")
		if !strings.Contains(a.problem.Detail, "The license is ") || len(a.record.Uses[0].Fields) != 0 || b.Sealed.Load() != sealed {
			t.Errorf("%s: %s, %d seals", name, a.body, b.Sealed.Load()-sealed)
		}
		for _, form := range []string{"pdf", "png", "svg"} {
			got := read[api.RenderAnswer](t, render(l, form))
			saysAcross(t, form, bytesOf(t, got.Document), words[name])
		}
	}
}

// saysAcross says whether a picture of a license has a word across it. What a PNG shows is tested where it is drawn.
func saysAcross(t testing.TB, form string, data []byte, word string) {
	t.Helper()
	switch form {
	case "svg":
		if !strings.Contains(string(data), `aria-label="`+word+`"`) {
			t.Errorf("the SVG does not say %s", word)
		}
	case "pdf":
		if said := documenttest.Read(t, form, data); !said.Draws(word) {
			t.Errorf("the PDF does not say %s", word)
		} else if _, err := exec.LookPath("pdftotext"); err == nil && !said.Holds(word) {
			t.Errorf("nobody reads %s in the PDF", word)
		}
	}
}

// What a department orders is drawn like what a source states, with the day of the order.
func TestRenderAfterOrders(t *testing.T) {
	w, b := documented(t)
	identifier := read[api.RenderAnswer](t, w.call("samr-licenses", "POST", renderPath, renderOf("ofd"))).Identifier
	sealed := b.Sealed.Load()
	since := "自" + inChinese(license.DateOf(w.now())) + "起"
	for _, step := range []struct{ command, word string }{{"suspend", "已暂停"}, {"revoke", "已失效"}} {
		read[api.OrderAnswer](t, w.orderOf(identifier, step.command))
		w.refused(w.call("samr-licenses", "POST", renderPath, renderOf("ofd")), "document-not-in-force")
		svg := bytesOf(t, read[api.RenderAnswer](t, w.call("samr-licenses", "POST", renderPath, renderOf("svg"))).Document)
		saysAcross(t, "svg", svg, step.word)
		saysAcross(t, "svg", svg, since)
	}
	if n := b.Sealed.Load(); n != sealed {
		t.Errorf("%d seals on a license that is not in force", n-sealed)
	}
}

// The day of a call is the city's: the last day of a validity counts until midnight in Shanghai.
func TestLapseByDay(t *testing.T) {
	record := license.License{Status: license.Valid, ValidFrom: "2026-11-01", ValidTo: "2026-11-30"}
	for at, want := range map[string]string{
		"2026-10-31T15:59:59Z": "尚未生效\n自2026年11月1日起生效",
		"2026-10-31T16:00:00Z": "",
		"2026-11-30T15:59:59Z": "",
		"2026-11-30T16:00:00Z": "已过期\n有效期至2026年11月30日",
	} {
		now := must(time.Parse(time.RFC3339, at))(t)
		if got := (&call{now: now}).overprint(register.Version{Status: license.Valid}, record, now); got != want {
			t.Errorf("at %s: %q, want %q", at, got, want)
		}
	}
}

// While a source is down its kept copies are released with their age, which a file would not say.
func TestNoCopyOfWhatIsStale(t *testing.T) {
	w, _ := documented(t)
	w.accept("SP-1")
	q := asForm(query("business-license", company, "SP-1"), "pdf")
	if got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, q)).Licenses[0]; got.Document.Form != "pdf" {
		t.Fatalf("no document: %s", got.Undrawn.Code)
	}
	w.legacy["business-license"].set(func(l *legacy) { l.err = errors.New("down") })
	got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, q)).Licenses[0]
	if got.Freshness != api.FreshnessStale || got.Document.Form != "" || got.Undrawn.Code != "source-unavailable" {
		t.Errorf("%s: document %q, %s", got.Freshness, got.Document.Form, got.Undrawn.Code)
	}
	m := material(t, w.check("food-approval", "SP-1", map[string]any{"documents": []any{map[string]any{"material": "business-license", "form": "pdf"}}}), "business-license")
	if m.License == "" || m.Document.Form != "" || m.Undrawn.Code != "source-unavailable" {
		t.Errorf("%s: document %q, %s", m.State, m.Document.Form, m.Undrawn.Code)
	}
}

// A check brings copies of the materials that it is asked for, and of those alone.
func TestCheckWithDocuments(t *testing.T) {
	w, b := documented(t)
	w.accept("SP-1")
	a := w.check("food-approval", "SP-1", map[string]any{"documents": []any{map[string]any{"material": "business-license", "form": "ofd"}}})
	for _, m := range a.Materials {
		if wanted := m.Material == "business-license"; (m.Document.Form == "ofd") != wanted || m.Undrawn.Code != "" {
			t.Errorf("%s: document %q, %s", m.Material, m.Document.Form, m.Undrawn.Code)
		} else if wanted {
			holdsAs(t, b, bytesOf(t, m.Document), "Sign")
		}
	}
}

func renderOf(form string) map[string]any {
	return map[string]any{"license_type": "business-license", "holder": company, "form": form}
}

// A department draws its own licenses, whole, which is recorded as what it is; nobody else does.
func TestRender(t *testing.T) {
	w, b := documented(t)
	for form, begins := range map[string]string{"ofd": "PK", "pdf": "%PDF-", "png": "\x89PNG", "svg": "<"} {
		a := w.call("samr-licenses", "POST", renderPath, renderOf(form))
		got := read[api.RenderAnswer](t, a)
		data := bytesOf(t, got.Document)
		use := a.record.Uses[0]
		if !bytes.HasPrefix(data, []byte(begins)) || use.Decision != "rendered" || !slices.Contains(use.Fields, "legal_representative_code") || use.Holder == "" || use.Rules[0] != "samr/licenses" {
			t.Errorf("%s: %+v", form, use)
		}
		if form == "ofd" {
			if p := holdsAs(t, b, data, "Seal"); p.Value("CZZT") != names[company] || got.Document.Name != got.Identifier+".ofd" {
				t.Errorf("%s of %s", p.Value("CZZT"), got.Document.Name)
			}
		}
	}
	w.refused(w.call("food-approval", "POST", renderPath, renderOf("ofd")), "not-permitted")
	w.rules("others.yaml", "permissions:\n  - {id: foreign, systems: [food-approval], operations: [licenses.render], basis: none}\n")
	w.refused(w.call("food-approval", "POST", renderPath, renderOf("ofd")), "not-permitted")
	nobody := renderOf("pdf")
	nobody["number"] = "none"
	w.refused(w.call("samr-licenses", "POST", renderPath, nobody), "license-missing")
	second := businessLicense()
	second.Number += "-2"
	w.put(second)
	w.refused(w.call("samr-licenses", "POST", renderPath, renderOf("pdf")), "invalid-field")
	one := renderOf("pdf")
	one["number"] = second.Number
	read[api.RenderAnswer](t, w.call("samr-licenses", "POST", renderPath, one))
	w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, func() license.License {
		l := businessLicense()
		l.Fields["legal_representative"] = "张\U00031340"
		return l
	}())
	a := w.call("samr-licenses", "POST", renderPath, renderOf("ofd"))
	w.refused(a, "document-no-glyph")
	if !strings.Contains(a.problem.Detail, "legal_representative") || strings.Contains(string(a.body), "31340") {
		t.Errorf("%s", a.body)
	}
}

// BenchmarkDocument measures a query with an annotated copy from call to answer, over loopback, one at a time.
func BenchmarkDocument(b *testing.B) {
	w, bureau := documented(b)
	w.skipWhole = true
	w.accept("SP-1")
	for _, form := range []string{"", "ofd", "pdf"} {
		b.Run("form="+form, func(b *testing.B) {
			q := query("business-license", company, "SP-1")
			if form != "" {
				q["form"] = form
			}
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				w.call("food-approval", "POST", queryPath, q)
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(bureau.Sealed.Load()), "seals")
		})
	}
}
