package docs_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"oncegate/api"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/explanation"
	"oncegate/gateway"
	"oncegate/install"
	"oncegate/language"
	"oncegate/tlog"
)

// A bodyBook makes every call of the contract on a gateway of its own, and shows what went and what came.
type bodyBook struct {
	*testing.T
	city     *city
	contract *api.Contract
	shown    map[string]bool // operations
	receipt  bool            // one was shown with its members
	out      strings.Builder

	vouched func(*client.Client) *client.Client // makes calls of a person whom an identity service proves; nil: as the system says
}

// bodies are the bodies of api.md. The gateway is new, so that places in its log are the same each time.
func bodies(t *testing.T) string {
	c, err := openCity(filepath.Join(scratch, "bodies"))
	must(t, err)
	defer func() { must(t, c.stop()) }()
	contract, err := api.NewContract()
	must(t, err)
	b := &bodyBook{T: t, city: c, contract: contract, shown: make(map[string]bool)}
	b.catalog()
	b.cases()
	b.holders()
	b.licenses()
	b.consents()
	b.records()
	b.public()
	for _, op := range contract.Operations() {
		if !b.shown[op.ID] {
			t.Errorf("api.md shows no bodies of %s: add a call to docs/bodies_test.go", op.ID)
		}
	}
	return b.out.String()
}

func (b *bodyBook) catalog() {
	b.call("food-approval", "catalog.types", nil, "")
	b.call("food-approval", "catalog.matters", nil, "")
}

const theCase = "SP-2026-000123"

func (b *bodyBook) cases() {
	shop := b.city.legacy.Population.Cast.FoodShop
	b.call("acceptance", "cases.register", nil, fmt.Sprintf(`{"no":"%s","matter":"YC-FOOD-01","accepted":"%s","parties":[{"role":"applicant","holder":{"type":"001","code":"%s"}},{"role":"legal_representative","holder":{"type":"111","code":"%s"}}]}`,
		theCase, b.now(0), shop.Code, shop.Legal.Code))
	b.call("food-approval", "cases.check", map[string]string{"no": theCase}, `{}`)
	comes := b.city.legacy.Population.Cast.Couple[0].Holder()
	b.call("acceptance", "cases.represent", map[string]string{"no": theCase}, fmt.Sprintf(`{"kind":"handler","person":{"type":"%s","code":"%s"},"mandate":{"digest":"V7n5Gsg9Vq1oLf0Ipo3L2xaoQ1dYYpZVCMqvN6Yf0vE","until":"2099-12-31"}}`, comes.Type, comes.Code))
	b.call("samr-licenses", "cases.result", map[string]string{"no": theCase}, fmt.Sprintf(`{"license_type":"food-business-license","number":"JY13799010000001","issuer":{"name":"云川市市场监督管理局","code":"11379901MB99103773","level":"3"},"issued":"2026-11-23","valid_from":"2026-11-23","valid_to":"2031-11-22","holders":[{"type":"001","code":"%s","name":"%s"}],"fields":[{"name":"legal_representative","value":"甲乙丙"},{"name":"address","value":"云川市和平路1号"},{"name":"premises","value":"云川市和平路1号"},{"name":"business_kind","value":"食品销售经营者"},{"name":"business_items","value":"预包装食品"}]}`, shop.Code, shop.Name))
	b.call("street-hall", "cases.handover", map[string]string{"no": theCase}, `{"digest":"V7n5Gsg9Vq1oLf0Ipo3L2xaoQ1dYYpZVCMqvN6Yf0vE","archive":"云川市示例区档案馆"}`)
	b.city.register(b.T, "SP-2026-000124")
	b.call("food-approval", "cases.materials", map[string]string{"no": "SP-2026-000124"}, `{"material":"legal-representative-id","how":"uploaded","digest":"V7n5Gsg9Vq1oLf0Ipo3L2xaoQ1dYYpZVCMqvN6Yf0vE"}`)
	b.call("food-approval", "cases.close", map[string]string{"no": "SP-2026-000124"}, `{}`)
	b.filings()
	b.call("acceptance", "cases.read", map[string]string{"no": theCase}, "")
	b.call("acceptance", "cases.list", nil, `{"matter":"YC-FOOD-01","state":"open"}`)
}

// filings show how a material that the window received is filed, and stands in for the next case.
func (b *bodyBook) filings() {
	shop := b.city.legacy.Population.Cast.FoodShop
	lease := []byte("%PDF-1.7 …")
	for no, matter := range map[string]string{"SP-2026-000125": "YC-FOOD-02", "TZ-2026-000017": "YC-INVEST-02"} {
		_, err := b.city.as(b.T, "acceptance").Call(b.Context(), "cases.register", nil, fmt.Appendf(nil, `{"no":"%s","matter":"%s","accepted":"%s","parties":[{"role":"applicant","holder":{"type":"001","code":"%s"}}]}`, no, matter, b.now(0), shop.Code))
		must(b.T, err)
	}
	digest := sm.DigestB64(lease)
	_, err := b.city.as(b.T, "acceptance").Call(b.Context(), "cases.materials", map[string]string{"no": "SP-2026-000125"}, fmt.Appendf(nil, `{"material":"premises-proof","how":"uploaded","digest":"%s"}`, digest))
	must(b.T, err)
	var filed struct{ Filing string }
	b.read(b.call("acceptance", "cases.file", map[string]string{"no": "SP-2026-000125"}, fmt.Sprintf(`{"material":"premises-proof","digest":"%s","media":"application/pdf","content":"%s","verification":"original-seen"}`,
		digest, base64.RawURLEncoding.EncodeToString(lease))), &filed)
	b.say("The next case of the same holder, at another department: the proof of premises is on file. · 同一主体在另一部门的下一个办件：已有存档材料，不用交。")
	b.exchange("invest-platform", "cases.check", map[string]string{"no": "TZ-2026-000017"}, `{"materials":["premises"],"files":[{"material":"premises"}]}`)
	b.call("acceptance", "filings.withdraw", nil, fmt.Sprintf(`{"filing":"%s"}`, filed.Filing))
}

func (b *bodyBook) licenses() {
	shop := b.city.legacy.Population.Cast.FoodShop
	question := `{"license_type":"business-license","holder":{"type":"001","code":"%s"},"purpose":{"case":"%s","material":"business-license"},"fields":["holder_name","legal_representative"]}`
	var found struct {
		Licenses []struct {
			License, Identifier string
		} `json:"licenses"`
	}
	b.read(b.call("food-approval", "licenses.query", nil, fmt.Sprintf(question, shop.Code, theCase)), &found)
	b.say("A refusal · 拒绝 (`application/problem+json`): nobody registered this case, and the answer is the same as if somebody had, for others. · 办件未登记与无权使用的答复相同。")
	b.exchange("food-approval", "licenses.query", nil, fmt.Sprintf(question, shop.Code, "SP-2026-999999"))
	got := found.Licenses[0]
	b.call("food-approval", "licenses.status", nil, fmt.Sprintf(`{"identifier":"%s","purpose":{"case":"%s","material":"business-license"}}`, got.Identifier, theCase))
	b.call("food-approval", "licenses.verify", nil, fmt.Sprintf(`{"license":"%s"}`, got.License))
	b.call("samr-licenses", "licenses.issue", nil, fmt.Sprintf(`{"license_type":"business-license","holders":[{"type":"001","code":"%s"}]}`, shop.Code))
	b.call("samr-licenses", "licenses.list", nil, `{"license_type":"business-license","limit":10}`)
	b.call("samr-licenses", "licenses.render", nil, fmt.Sprintf(`{"license_type":"business-license","holder":{"type":"001","code":"%s"},"form":"ofd"}`, shop.Code))
	b.call("samr-licenses", "sources.try", map[string]string{"source": "market-registration"}, fmt.Sprintf(`{"license_type":"business-license","holder":{"type":"001","code":"%s"}}`, shop.Code))
	b.call("samr-licenses", "licenses.order", nil, fmt.Sprintf(`{"identifier":"%s","command":"suspend","reference":"云市监〔2026〕17号"}`, got.Identifier))
}

func (b *bodyBook) consents() {
	who := b.city.legacy.Population.Cast.Couple[0].Holder()
	expires := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	text, err := json.Marshal(gateway.Assertion{Issuer: "identity-service", Audience: b.city.setup.Gateway.ID, For: "consent", Reference: "c-2026-17", Holder: who, System: "citizen-portal",
		Types: []string{"resident-id"}, Matters: []string{"YC-LAND-07"}, IssuedAt: time.Now().Unix(), Expires: expires.Unix()})
	must(b.T, err)
	signer, err := install.AsserterSigner(b.city.setup, b.city.keys, "identity-service")
	must(b.T, err)
	assertion, err := jws.Sign(context.Background(), signer, jws.Header{Typ: gateway.AssertionType, Kid: "identity-service"}, text)
	must(b.T, err)
	b.call("citizen-portal", "consents.give", nil, fmt.Sprintf(`{"id":"c-2026-17","holder":{"type":"%s","code":"%s"},"types":["resident-id"],"matters":["YC-LAND-07"],"expires":"%s","assertion":"%s"}`,
		who.Type, who.Code, api.At(expires), assertion))
	b.call("citizen-portal", "precheck", nil, fmt.Sprintf(`{"holder":{"type":"%s","code":"%s"},"matter":"YC-LAND-07","consent":"c-2026-17"}`, who.Type, who.Code))
	b.call("citizen-portal", "consents.withdraw", map[string]string{"id": "c-2026-17"}, `{}`)
}

// holders shows what the shop's legal representative is told, signed in at the portal.
func (b *bodyBook) holders() {
	shop := b.city.legacy.Population.Cast.FoodShop
	signer, err := install.IdentitySigner(b.city.setup, b.city.keys, "citizen-identity")
	must(b.T, err)
	b.vouched = func(c *client.Client) *client.Client {
		return c.As(shop.Legal.Code).Vouched(func(ctx context.Context, binding client.ActorBinding) (string, error) {
			return token.SignActor(ctx, signer, token.ActorClaims{Issuer: "citizen-identity", Audience: binding.Gateway, System: binding.System, Subject: binding.Operator, Request: binding.Request}, time.Now())
		})
	}
	defer func() { b.vouched = nil }()
	whose := fmt.Sprintf(`"holder":{"type":"001","code":"%s"},"as":"legal_representative"`, shop.Code)
	var told struct {
		Accesses []struct {
			Record uint64 `json:"record"`
		} `json:"accesses"`
	}
	b.read(b.call("citizen-portal", "holders.accesses", nil, "{"+whose+`,"limit":1}`), &told)
	if len(told.Accesses) != 1 {
		b.Fatal("the holder is told nothing")
	}
	b.call("citizen-portal", "consents.list", nil, "{"+whose+"}")
	b.call("citizen-portal", "holders.dispute", nil, fmt.Sprintf(`{%s,"record":%d,"why":"本单位未申请该事项"}`, whose, told.Accesses[0].Record))
}

func (b *bodyBook) records() {
	period := fmt.Sprintf(`"from":"%s","to":"%s"`, b.now(-time.Hour), b.now(time.Hour))
	var page struct {
		Records []struct {
			Index uint64
		} `json:"records"`
	}
	b.read(b.call("audit-office", "audit.search", nil, fmt.Sprintf(`{%s,"operation":"licenses.query","limit":10}`, period)), &page)
	if len(page.Records) == 0 {
		b.Fatal("the search found nothing")
	}
	index := map[string]string{"index": fmt.Sprint(page.Records[0].Index)}
	b.call("audit-office", "audit.record", index, "")
	b.call("audit-office", "audit.evidence", index, `{"why":"例行抽查","persons":true}`)
	b.call("audit-office", "audit.receipt", index, "")
	b.call("audit-office", "audit.dispose", index, `{"disposition":"referred","note":"查后无办结，请说明","to":"service","due":"2030-12-14"}`)
	b.marked(b.call("audit-office", "audit.summary", nil, fmt.Sprintf(`{"from":"%s","days":1,"disputes":true}`, b.now(-time.Hour))))
	b.call("operations", "node.status", nil, "")
	b.call("audit-office", "audit.reuse", nil, fmt.Sprintf(`{%s,"matter":"YC-FOOD-01"}`, period))
	b.call("audit-office", "audit.export", nil, fmt.Sprintf(`{%s,"system":"food-approval","operation":"licenses.query"}`, period))
	b.call("audit-office", "audit.erase", index, `{"why":"个人信息处理异议成立：云审〔2026〕5号"}`)
	answer, err := b.city.as(b.T, "food-approval").Call(b.Context(), "catalog.matters", nil, nil)
	must(b.T, err)
	b.call("food-approval", "receipts", nil, fmt.Sprintf(`{"jti":"%s"}`, answer.JTI))
}

// marked waits until the high-water mark has the record of an answer: it follows the log.
func (b *bodyBook) marked(answer []byte) {
	var a struct {
		Receipt struct {
			Index uint64 `json:"index"`
		} `json:"receipt"`
	}
	must(b.T, json.Unmarshal(answer, &a))
	for range 500 {
		text, err := tlog.ReadMark(b.city.setup.Log.Mark)
		must(b.T, err)
		c, err := tlog.ParseCheckpoint(text)
		must(b.T, err)
		if c.Size > a.Receipt.Index {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatal("the high-water mark does not follow the log")
}

// public are the operations whose answers are no JSON with a receipt.
func (b *bodyBook) public() {
	b.artefact("log.checkpoint", nil, `a signed note`)
	b.artefact("log.tile", map[string]string{"level": "0", "tile": "000.p/16"}, "hashes of 32 bytes, one after another, without anything between")
	b.artefact("log.tile-sm3", map[string]string{"level": "0", "tile": "000.p/16"}, "the same of the SM3 tree")
	b.artefact("log.entries", map[string]string{"tile": "000.p/16"}, "records, each after its length in two bytes, high byte first; a signed call of a system with `log.read`")
	b.artefact("status-lists", map[string]string{"id": b.statusList()}, "a signed token (JWS)")
	b.artefact("document-code", map[string]string{"code": "7ZK3M9Q2T8WX4C6V1B5N0GHJDR"}, "a page for a person (HTML, Chinese and English); of this code, which nobody made, that there is nothing to show")
	b.artefact("openapi", nil, "this contract, as YAML")
}

// statusList is the id of the list in which the shop's license stands.
func (b *bodyBook) statusList() string {
	listed, err := b.city.as(b.T, "samr-licenses").List(b.Context(), api.ListRequest{LicenseType: "business-license"})
	must(b.T, err)
	return path.Base(listed.Answer.Licenses[0].StatusList)
}

// artefact fetches bytes and says what they are.
func (b *bodyBook) artefact(operation string, values map[string]string, what string) {
	b.title(operation)
	raw, err := b.city.as(b.T, "audit-office").Public(b.Context(), operation, values)
	must(b.T, err)
	op := b.contract.Operation(operation)
	fmt.Fprintf(&b.out, "%s `%s`, no body. It answers %s", op.Method, filled(op, values), what)
	switch {
	case bytes.HasPrefix(raw, []byte("eyJ")):
		b.out.WriteString(": `eyJ…`\n\n")
	case operation == "openapi":
		first, _, _ := strings.Cut(string(raw), "\n")
		fmt.Fprintf(&b.out, ": `%s` …\n\n", first)
	case operation == "log.checkpoint":
		b.out.WriteString(":\n\n```text\n")
		for line := range strings.Lines(string(raw)) {
			if !wordForm.MatchString(strings.TrimSpace(line)) {
				words := strings.SplitAfter(line, " ")
				words[len(words)-1] = hashForm.ReplaceAllString(words[len(words)-1], "…")
				line = strings.Join(words, "")
			}
			b.out.WriteString(line)
		}
		b.out.WriteString("```\n\n")
	default:
		if len(raw) < 32*16 {
			b.Errorf("%s: only %d bytes", operation, len(raw))
		}
		b.out.WriteString(".\n\n")
	}
}

// call shows an operation's exchange under its title, once; further calls of it stand below without one. It returns the answer.
func (b *bodyBook) call(system, operation string, values map[string]string, body string) []byte {
	if !b.shown[operation] {
		b.title(operation)
	}
	return b.exchange(system, operation, values, body)
}

func (b *bodyBook) title(operation string) {
	b.shown[operation] = true
	op := b.contract.Operation(operation)
	if op == nil {
		b.Fatalf("there is no operation %s", operation)
	}
	words := op.Title.En
	if op.Title.Zh != op.Title.En {
		words += " · " + op.Title.Zh
	}
	fmt.Fprintf(&b.out, "#### `%s`\n\n%s\n\n", operation, words)
}

func (b *bodyBook) say(text string) { b.out.WriteString(text + "\n\n") }

// exchange makes a call and shows both bodies.
func (b *bodyBook) exchange(system, operation string, values map[string]string, body string) []byte {
	op := b.contract.Operation(operation)
	caller := b.city.as(b.T, system)
	if b.vouched != nil {
		caller = b.vouched(caller)
	}
	got, err := caller.Call(b.Context(), operation, values, []byte(body))
	var raw []byte
	var problem *api.Problem
	switch {
	case err == nil:
		raw = got.Raw
	case errors.As(err, &problem) && problem.Code == "case-not-usable":
		raw = problem.Body()
	default:
		b.Fatalf("%s: %v", operation, err)
	}
	b.explained(operation, raw)
	fmt.Fprintf(&b.out, "%s `%s`, by `%s`", op.Method, filled(op, values), system)
	if body == "" {
		b.out.WriteString(", no body:\n\n```json\n")
	} else {
		b.out.WriteString(":\n\n```json\n" + b.show([]byte(body)) + "```\n\nIt answers:\n\n```json\n")
	}
	b.out.WriteString(b.show(raw) + "```\n\n")
	return raw
}

// explained holds that every answer has its words (package explanation), and that they name nobody.
func (b *bodyBook) explained(operation string, raw []byte) {
	cast := b.city.legacy.Population.Cast
	for _, l := range []language.Language{language.English, language.Chinese} {
		e, err := explanation.Of(raw, explanation.Options{Language: l})
		if err != nil {
			b.Errorf("%s: explain: %v", operation, err)
			continue
		}
		said := fmt.Sprint(e.Sections)
		for _, unwanted := range []string{"not of the form", "not explained further", "不符合该操作的格式", "不再解释", "cannot be read", cast.FoodShop.Code, cast.FoodShop.Name, cast.FoodShop.Legal.Code, cast.FoodShop.Legal.Name, cast.Couple[0].Code} {
			if strings.Contains(said, unwanted) {
				b.Errorf("%s: its explanation says %q", operation, unwanted)
			}
		}
		if !e.Verifiable {
			b.Errorf("%s: its explanation says that nothing can be verified", operation)
		}
	}
}

// read reads the answer out of {answer, receipt}.
func (b *bodyBook) read(raw []byte, into any) {
	var e struct{ Answer json.RawMessage }
	must(b.T, json.Unmarshal(raw, &e))
	must(b.T, json.Unmarshal(e.Answer, into))
}

func (b *bodyBook) now(later time.Duration) api.Time { return api.At(time.Now().Add(later)) }

func filled(op *api.Operation, values map[string]string) string {
	path := op.Path
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// ---- how a body is shown: the rules that stand above the examples ---------------------------------------------------------

var (
	dayForm        = regexp.MustCompile(`\d{4}-\d\d-\d\d`)
	timeForm       = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	identifierForm = regexp.MustCompile(`^(1\.2\.156\.3005\.2\.[0-9A-Z]{21}\.[0-9A-Z]{18})\.[0-9A-Z]+\.(\d+)\.[0-9A-Z]$`)
	hashForm       = regexp.MustCompile(`[A-Za-z0-9+/_=~.-]{22,}`)
	wordForm       = regexp.MustCompile(`^[a-z][a-z_./-]*$`)
)

// The values that stand for every time, and for every day that is counted from today.
const shownTime, shownDay = "2026-11-23T04:00:00.000Z", "2026-12-07"

func (b *bodyBook) show(raw []byte) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	must(b.T, d.Decode(&v))
	return layout(b.shorten("", v), "", 0) + "\n"
}

// shorten applies the rules to a value.
func (b *bodyBook) shorten(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if name == "receipt" && v["checkpoint"] != nil && !b.receiptShown() {
			return "…"
		}
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = b.shorten(key, value)
		}
		return out
	case []any:
		out := make([]any, 0, 3)
		for i, item := range v {
			if i == 1 && len(v) > 2 {
				return append(out, fmt.Sprintf("… %d more", len(v)-1))
			}
			out = append(out, b.shorten("", item))
		}
		return out
	case string:
		return b.shortText(name, v)
	}
	return v
}

// receiptShown reports whether a receipt is shown with its members: the first time only.
func (b *bodyBook) receiptShown() bool {
	first := !b.receipt
	b.receipt = true
	return first
}

func (b *bodyBook) shortText(name, text string) string {
	text = strings.ReplaceAll(text, b.city.url, "http://127.0.0.1:8420")
	switch {
	case timeForm.MatchString(text):
		return timeForm.ReplaceAllString(text, shownTime)
	case name == "deadline", name == "filed_on", name == "valid_until":
		return shownDay
	case name == "zh", name == "en": // of a watermark
		return dayForm.ReplaceAllString(text, shownDay)
	case name == "checkpoint":
		return "…"
	case identifierForm.MatchString(text):
		return identifierForm.ReplaceAllString(text, "$1.….$2.…")
	case wordForm.MatchString(text), strings.HasPrefix(text, "http://"), strings.HasPrefix(text, "urn:"):
		return text
	}
	return hashForm.ReplaceAllString(text, "…")
}

// layout writes JSON as people do: what fits into a line stands in one.
func layout(v any, indent string, used int) string {
	const width = 118
	if line := inline(v); uniseg.StringWidth(indent)+used+uniseg.StringWidth(line) <= width {
		return line
	}
	deeper := indent + "  "
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range memberOrder(v) {
			key := quoteJSON(name) + ": "
			parts = append(parts, deeper+key+layout(v[name], deeper, uniseg.StringWidth(key)))
		}
		return "{\n" + strings.Join(parts, ",\n") + "\n" + indent + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, deeper+layout(item, deeper, 0))
		}
		return "[\n" + strings.Join(parts, ",\n") + "\n" + indent + "]"
	}
	return inline(v)
}

func inline(v any) string {
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range memberOrder(v) {
			parts = append(parts, quoteJSON(name)+": "+inline(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, inline(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return quoteJSON(v)
	}
	return fmt.Sprint(orNull(v))
}

func orNull(v any) any {
	if v == nil {
		return "null"
	}
	return v
}

func memberOrder(v map[string]any) []string { return slices.Sorted(maps.Keys(v)) }

func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string has its JSON
	return strings.TrimSpace(b.String())
}
