package explanation

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/certstest"
	"oncegate/language"
	"oncegate/license"
	"oncegate/verdict/verdicttest"
)

// texts is an explanation as one text.
func texts(e *Explanation) string {
	var b strings.Builder
	fmt.Fprintln(&b, e.Kind)
	for _, s := range e.Sections {
		fmt.Fprintln(&b, s.Title)
		for _, line := range s.Lines {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

func explain(t *testing.T, data string, o Options) *Explanation {
	t.Helper()
	e, err := Of([]byte(data), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// recorded puts an answer into a real log, and returns what leaves.
func recorded(t testing.TB, answer any) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	raw, err := canonical.Marshal(answer)
	must(err)
	log := verdicttest.NewLog(t, certstest.New(t, "explanation"), "gateway.example/log")
	receipt, err := log.Recorder.Record(t.Context(), audit.Draft{
		Operation: "licenses.query", System: "food-permits", Operator: "window-3", RequestID: "01a22f8a-60fb-73e1-a2d7-06058c1ea841",
		Token: "a.b.c", Body: []byte("{}"), Answer: raw, Policy: strings.Repeat("A", 43),
		Uses: []audit.Use{{Basis: "case", Case: "SP-1", Matter: "food", Material: "business-license", LicenseType: "business-license", Decision: "release",
			Rules: []string{"grant-1"}, Fields: []string{"name"}, Source: "samr", Freshness: "live 2026-11-23T01:00:00.000Z", Need: 1, Person: person}},
	})
	must(err)
	text, err := json.Marshal(receipt)
	must(err)
	if p, ok := answer.(*api.Problem); ok {
		p.Receipt = text
		return string(p.Body())
	}
	return string(api.Envelope{Answer: raw, Receipt: text}.Bytes())
}

// person is made up.
var person = license.HolderID{Type: "001", Code: "91379901MA9920002Q"}

var released = api.QueryAnswer{
	Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: "licenses.query", Found: api.FoundFound,
	Decision: api.Decision{Fields: []string{"holder_name"}, Rules: []string{"grant-1", "guard/watermark"}, Obligations: []string{"watermark"},
		Reasons: []api.Reason{{Code: "field-not-granted", Zh: "所请求的部分字段没有授权。", En: "Some of the fields asked for are not granted."}}},
	Licenses: []api.License{{LicenseType: "business-license", Identifier: "1.2.3", Version: 1, Status: api.StatusValid, Source: "samr", Freshness: api.FreshnessLive,
		AsOf: api.At(certstest.Epoch), Fields: api.Fields{"name": "营业执照", "holder_name.0": "示例食品有限公司", "holder_code.0": person.Code, "sex": "2"}}},
}

func TestAnswer(t *testing.T) {
	file := recorded(t, released)
	e := explain(t, file, Options{Language: language.English})
	said := texts(e)
	for _, want := range []string{
		"System food-permits called licenses.query", "case SP-1", "matter food", "by the rules grant-1", "asserted", // who asked what
		"valid", "营业执照", "示***", "9***", "Fields allowed: holder_name", "grant-1, guard/watermark", "Why: Some of the fields asked for are not granted.",
		"What to do: Ask for fewer fields", "watermark", // what was released and withheld, and why
		"record 0 of a log", "gateway.example/log", "1 entries", "No witness has co-signed it", "Not that the source's data is right", // the receipt
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for _, personal := range []string{person.Code, "示例食品有限公司", "window-3"} {
		if strings.Contains(said, personal) {
			t.Errorf("it shows %s", personal)
		}
	}
	if !e.Verifiable {
		t.Error("it could be verified")
	}
	if shown := texts(explain(t, file, Options{Show: true})); !strings.Contains(shown, person.Code) || !strings.Contains(shown, "示例食品有限公司") {
		t.Error("it does not show what it is told to show")
	}
	zh := texts(explain(t, file, Options{Language: language.Chinese}))
	for _, want := range []string{"系统 food-permits", "所请求的部分字段没有授权。", "怎么办：减少字段", "没有见证方联署"} {
		if !strings.Contains(zh, want) {
			t.Errorf("in Chinese it does not say %q", want)
		}
	}
	if strings.Contains(zh, "示例食品有限公司") {
		t.Error("in Chinese it shows a name")
	}
}

func TestRefusal(t *testing.T) {
	p := api.NewProblem("case-not-usable")
	p.Operation = "licenses.query"
	said := texts(explain(t, recorded(t, p), Options{}))
	for _, want := range []string{"refusal with its receipt", "This case cannot be used", "An auditor can read the cause", "the policy: a rule or a consent is missing", "Trying the same call again changes nothing", "record 0 of a log"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	bare := api.NewProblem("too-many-requests").At("/holder/code", "check character")
	e := explain(t, string(bare.Body()), Options{})
	if said := texts(e); !strings.Contains(said, "error without a receipt") || !strings.Contains(said, "try again after 1 s") || !strings.Contains(said, "/holder/code: check character") || e.Verifiable {
		t.Errorf("without a receipt it says:\n%s", said)
	}
	invented := `{"code":"free-beer","status":403,"party":"caller","zh":"a","en":"Click \u001b[31mhere","advice":{"zh":"b","en":"c"},"retry":false,"title":"","type":""}`
	if said := texts(explain(t, invented, Options{})); !strings.Contains(said, "not known here") || !strings.Contains(said, "Click \uFFFD[31mhere") {
		t.Errorf("of an unknown code it says:\n%s", said)
	}
}

// Everything that a stranger may have written is bounded and harmless to a terminal.
func TestHostile(t *testing.T) {
	evil := released
	evil.Licenses = slices.Clone(evil.Licenses)
	evil.Licenses[0].Fields = api.Fields{"name": "a\x1b]0;owned\a\u202e\r\nb", "n\x1bame": "x"}
	evil.Licenses[0].Identifier = strings.Repeat("9", 1000)
	for range 2000 {
		evil.Decision.Rules = append(evil.Decision.Rules, "r\x1b[2J")
		evil.Licenses = append(evil.Licenses, evil.Licenses[0])
	}
	raw, err := canonical.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	said := texts(explain(t, `{"answer":`+string(raw)+`}`, Options{Show: true}))
	if i := strings.IndexFunc(said, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("it prints %q", said[i:i+10])
	}
	if len(said) > 1<<20 {
		t.Errorf("it prints %d bytes", len(said))
	}
	for name, data := range map[string]string{
		"nothing": "", "deep": strings.Repeat(`{"answer":`, 100) + "1" + strings.Repeat("}", 100), "cut": `{"answer":{"operation":`, "twice": `{"answer":1,"answer":2}`,
		"other JSON": `{"a":1}`, "a note": "x\n1\n", "a list": "[1]", "large": `{"answer":"` + strings.Repeat("a", 17<<20) + `"}`,
	} {
		if e, err := Of([]byte(data), Options{}); err == nil {
			t.Errorf("%s is explained: %s", name, texts(e))
		}
	}
	if e := explain(t, "\x89PNG\r\n\x1a\n", Options{}); e.Kind != "picture" || !strings.Contains(texts(e), "oncegate verify tells") {
		t.Errorf("of a picture it says:\n%s", texts(e))
	}
	// Of the wrong types, it says so.
	for _, data := range []string{`{"answer":{"operation":"cases.check","materials":7}}`, `{"answer":7}`, `{"answer":{"operation":7}}`, `{"answer":null}`} {
		if said := texts(explain(t, data, Options{})); !strings.Contains(said, "not of the form") && !strings.Contains(said, "not explained further") {
			t.Errorf("of %s it says:\n%s", data, said)
		}
	}
}

func FuzzOf(f *testing.F) {
	for _, seed := range []string{recorded(f, released), string(api.NewProblem("internal").Body()), `{"answer":{"operation":"audit.evidence","record":{},"reasons":[{}]}}`, "log\n1\nAAAA\n\n\u2014 log x\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Of(data, Options{})
		if err == nil && strings.ContainsFunc(texts(e), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Error("it prints what a terminal obeys")
		}
	})
}

// Every answer of the contract has its words.
func TestEveryOperation(t *testing.T) {
	contract, err := api.NewContract()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range contract.Operations() {
		if _, ok := tellers[op.ID]; !ok && op.Signed && op.ID != "log.entries" { // bytes, not JSON
			t.Errorf("no words for answers of %s", op.ID)
		}
		if op.Title.En == "" || op.Title.Zh == "" {
			t.Errorf("no title of %s", op.ID)
		}
	}
}

// Everything that is said in English is said in Chinese.
func TestChinese(t *testing.T) {
	var said []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, isMethod := call.Fun.(*ast.SelectorExpr)
			literal, isLiteral := call.Args[0].(*ast.BasicLit)
			if name, isName := call.Fun.(*ast.Ident); isLiteral && isName && name.Name == "add" || isMethod && isLiteral && slices.Contains([]string{"say", "Message", "Sprintf", "section", "kind"}, method.Sel.Name) && !isPackage(method.X, "fmt") {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				said = append(said, text)
			}
			return true
		})
	}
	for _, text := range outcomes {
		said = append(said, text)
	}
	for _, text := range standings {
		said = append(said, text)
	}
	if len(said) < 100 {
		t.Fatalf("only %d texts were found", len(said))
	}
	for _, text := range append(said, ErrUnexplained.Error()) {
		zh, ok := messages[text]
		if !ok {
			t.Errorf("no Chinese for %q", text)
		}
		if strings.Count(text, "%") != strings.Count(zh, "%") {
			t.Errorf("%q and %q differ in what they name", text, zh)
		}
	}
}

func isPackage(e ast.Expr, name string) bool {
	x, ok := e.(*ast.Ident)
	return ok && x.Name == name
}
