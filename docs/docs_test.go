// Package docs_test tests the documents: generated tables match the code, example commands run, links resolve.
package docs_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"oncegate/api"
	"oncegate/config"
	"oncegate/policy"
	"oncegate/verdict"
)

// update writes the tables into the documents instead of comparing them: go test ./docs -update
var update = flag.Bool("update", false, "write the generated tables into the documents")

// TestTables holds every table between "<!-- table NAME -->" and "<!-- end NAME -->" against what it describes.
func TestTables(t *testing.T) {
	for _, c := range []struct {
		document, name string
		made           func(*testing.T) string
	}{
		{"api.md", "example", example},
		{"api.md", "operations", operations},
		{"api.md", "bodies", bodies},
		{"api.md", "problems", problems},
		{"api.md", "unsent", unsent},
		{"api.md", "reasons", reasons},
		{"operations.md", "configuration", configuration},
		{"operations.md", "metrics", metrics},
		{"verify.md", "needs", needs},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := read(t, c.document)
			begin, end := "<!-- table "+c.name+" -->\n", "<!-- end "+c.name+" -->"
			before, rest, ok := strings.Cut(text, begin)
			was, after, ok2 := strings.Cut(rest, end)
			if !ok || !ok2 {
				t.Fatalf("%s has no table %s", c.document, c.name)
			}
			want := c.made(t)
			if *update {
				if err := os.WriteFile(c.document, []byte(before+begin+want+end+after), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, was); diff != "" {
				t.Errorf("%s is not true any more; go test ./docs -update mends it (-is, +says):\n%s", c.document, diff)
			}
		})
	}
}

// needs are what proven needs, for each kind of artefact.
func needs(*testing.T) string {
	var b strings.Builder
	b.WriteString("| kind | proven needs | may stay open |\n|---|---|---|\n")
	for _, n := range verdict.Needs() {
		name := string(n.Kind)
		if n.Place != "" {
			name += ", `" + n.Place + "…`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, quoted(n.Steps), quoted(n.Open))
	}
	return b.String()
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = "`" + strings.ReplaceAll(name, "|", "` or `") + "`"
	}
	return strings.Join(out, " ")
}

// caseNeeded says what an operation needs as its purpose. What can be read off the contract is checked against it.
var caseNeeded = map[string]string{
	"licenses.query":  "yes, with the material; or a basis that a grant names",
	"licenses.status": "yes, with the material; or a basis that a grant names",
	"cases.register":  "it makes one",
	"cases.check":     "the one in the path, open",
	"cases.materials": "the one in the path, open",
	"cases.close":     "the one in the path, open",
	"cases.handover":  "the one in the path, open or closed",
	"cases.read":      "the one in the path",
	"cases.represent": "the one in the path, open",
	"cases.result":    "the one in the path, open",
	"cases.file":      "the one in the path, open",
	"precheck":        "no: the holder's consent",
}

// callers say who may make a call. The right in front of them is read out of the gateway's own table.
var callers = map[string]string{
	"licenses.query":   "a grant for the type, the purpose and the system",
	"licenses.status":  "a grant, or a permission for the type",
	"licenses.order":   "a permission for the type, of the department that owns it",
	"licenses.list":    "a permission for the type, of the department that owns it",
	"licenses.issue":   "a permission for the type, of the department that owns it",
	"licenses.render":  "a permission for the type, of the department that owns it",
	"sources.try":      "a permission for the type, of the department that owns it; `show` needs `licenses.render` too",
	"cases.register":   "a permission for the matter",
	"audit.record":     "a permission; records of inquiries, by a permission for `audit.supervise`",
	"audit.summary":    "as `audit.record`",
	"audit.dispose":    "a permission",
	"holders.accesses": "a permission, for a person whom an identity service proves to be the holder; a grant for what names who stands for the holder",
	"holders.dispute":  "as `holders.accesses`",
	"consents.list":    "as `holders.accesses`",
	"cases.check":      "a rule that names the system and the case's matter; a grant for each material",
	"cases.materials":  "who registered the case, or a permission for the matter",
	"cases.close":      "who registered the case, or a permission for the matter",
	"cases.file":       "a permission for the matter and the type of filed materials; somebody must act",
	"filings.withdraw": "a permission; the department that filed, or on the holder's word",
	"cases.result":     "a permission for the type, of the department that issues it here; a rule that names the system and the case's matter",
	"cases.represent":  "who registered the case, or a permission for the matter; a grant for what names a guardian",
	"cases.read":       "who registered the case, by a permission for the matter; a grant for how each material stands",
	"cases.list":       "who registered the cases, by a permission; a grant for how each material stands",
	"precheck":         "a grant with ground consent for each material",
	"node.status":      "a permission; for whoever runs the gateway",
}

func operations(t *testing.T) string {
	contract, err := api.NewContract()
	if err != nil {
		t.Fatal(err)
	}
	rights := rightsOfRoutes(t)
	var b strings.Builder
	b.WriteString("| operation | method, path | who may call | case needed | recorded | receipt |\n|---|---|---|---|---|---|\n")
	for _, op := range contract.Operations() {
		who, recorded, receipt := "everybody", "no", "no: it is signed in itself or says nothing"
		if op.ID == "document-code" {
			receipt = "no: it says how a license stands, as its status list does"
		}
		if op.Signed {
			right, known := rights[op.ID]
			if !known {
				t.Errorf("the gateway has no row for %s", op.ID)
			}
			delete(rights, op.ID)
			who, recorded, receipt = "every registered system", "yes", "yes"
			if right != "" {
				who = "`" + right + "`: " + orElse(callers[op.ID], "a permission")
			}
			if op.ID == "log.entries" {
				receipt = "no: bytes, not JSON; `receipts` has it"
			}
		}
		purpose := orElse(caseNeeded[op.ID], "no")
		if strings.Contains(op.Path, "{no}") != strings.Contains(purpose, "in the path") {
			t.Errorf("%s: the path and the column about cases disagree", op.ID)
		}
		if asks := requestHas(op.ID, "Purpose"); asks != strings.HasPrefix(purpose, "yes") {
			t.Errorf("%s: the request and the column about cases disagree", op.ID)
		}
		fmt.Fprintf(&b, "| `%s` | %s `%s` | %s | %s | %s | %s |\n", op.ID, op.Method, op.Path, who, purpose, recorded, receipt)
	}
	for id := range rights {
		t.Errorf("the gateway has a row %s, which is no operation", id)
	}
	return b.String()
}

// requestHas reports whether an operation's request type has a member.
func requestHas(operation, member string) bool {
	for id, request := range map[string]any{
		"licenses.query": api.QueryRequest{}, "licenses.status": api.StatusRequest{}, "licenses.verify": api.VerifyRequest{},
		"cases.register": api.CaseRequest{}, "cases.check": api.CheckRequest{}, "cases.materials": api.MaterialRequest{},
		"precheck": api.PrecheckRequest{}, "consents.give": api.ConsentRequest{}, "audit.search": api.SearchRequest{},
	} {
		if id == operation {
			_, has := reflect.TypeOf(request).FieldByName(member)
			return has
		}
	}
	return false
}

// rightsOfRoutes reads the gateway's table of routes: operation → right.
func rightsOfRoutes(t *testing.T) map[string]string {
	rights := make(map[string]string)
	ast.Inspect(parse(t, "../gateway/operations.go"), func(n ast.Node) bool {
		row, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		value, isRow := row.Value.(*ast.CompositeLit)
		if id, ok := text(row.Key); ok && isRow {
			rights[id] = ""
			for _, e := range value.Elts {
				if f, ok := e.(*ast.KeyValueExpr); ok {
					if name, ok := f.Key.(*ast.Ident); ok && name.Name == "right" {
						rights[id], _ = text(f.Value)
					}
				}
			}
		}
		return true
	})
	return rights
}

func problems(*testing.T) string {
	var b strings.Builder
	b.WriteString("| code | status | party | retry | 中文 | English | what to do · 怎么办 |\n|---|--:|---|---|---|---|---|\n")
	for _, k := range api.Kinds() {
		retry := "no"
		if k.Retry {
			retry = "yes"
			if k.RetryAfter > 0 {
				retry += fmt.Sprintf(", %d s", k.RetryAfter)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s | %s | %s<br>%s |\n", k.Code, k.Status, k.Party, retry, k.Zh, k.En, cell(k.AdviceEn), cell(k.AdviceZh))
	}
	return b.String()
}

// reasons are those of judgements and evidence, and of the policy, with what to do: one table for this document and for oncegate explain.
func reasons(t *testing.T) string {
	var texts map[string]api.Sentence
	must(t, yaml.Unmarshal([]byte(read(t, "../gateway/reasons.yaml")), &texts))
	var codes []string
	for _, r := range policy.Reasons() {
		codes = append(codes, r.Code)
		if _, ours := texts[r.Code]; !ours { // else it is what the caller of a check sees
			texts[r.Code] = api.Sentence{Zh: r.Zh, En: r.En}
		}
	}
	codes = append(codes, slices.Sorted(maps.Keys(texts))...)
	var b strings.Builder
	b.WriteString("| reason | 中文 | English | what to do · 怎么办 |\n|---|---|---|---|\n")
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		advice, ok := api.AdviceOn(code)
		if !ok {
			t.Errorf("nobody knows what to do about the reason %s: add it to api/advice.yaml", code)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s<br>%s |\n", code, cell(texts[code].Zh), cell(texts[code].En), cell(advice.En), cell(advice.Zh))
	}
	var advised map[string]api.Sentence
	must(t, yaml.UnmarshalWithOptions([]byte(read(t, "../api/advice.yaml")), &advised, yaml.Strict()))
	for code, s := range advised {
		if _, known := texts[code]; !known {
			t.Errorf("api/advice.yaml knows what to do about %s, which nobody says", code)
		}
		if s.Zh == "" || s.En == "" {
			t.Errorf("api/advice.yaml says nothing about %s in one of the languages", code)
		}
	}
	return b.String()
}

// unsent lists the codes that no line of the program names.
func unsent(t *testing.T) string {
	var program strings.Builder
	for _, pattern := range []string{"../api/*.go", "../gateway/*.go", "../gateway/intake/*.go", "../certs/token/*.go", "../client/*.go", "../verdict/*.go", "../cases/*.go", "../node/*.go", "../license/*.go"} {
		names, err := filepath.Glob(pattern)
		must(t, err)
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, "_gen.go") {
				program.WriteString(read(t, name))
			}
		}
	}
	var codes []string
	for _, k := range api.Kinds() {
		if !strings.Contains(program.String(), strconv.Quote(k.Code)) {
			codes = append(codes, "`"+k.Code+"`")
		}
	}
	return strings.Join(codes, ", ") + "\n"
}

// configuration is one table for each type of config/config.go: its fields' comments are the manual.
func configuration(t *testing.T) string {
	var b strings.Builder
	file := parse(t, "../config/config.go")
	sections := make(map[string]string) // type → where it stands
	known := reflect.TypeOf(config.Config{})
	for i := range known.NumField() {
		f := known.Field(i)
		key, kind := f.Tag.Get("yaml"), f.Type
		if kind.Kind() == reflect.Slice {
			key, kind = key+"[]", kind.Elem()
		}
		sections[kind.Name()] = key
	}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		spec := g.Specs[0].(*ast.TypeSpec)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok || spec.Name.Name == "Config" {
			continue
		}
		where := sections[spec.Name.Name]
		switch spec.Name.Name {
		case "TLS":
			where = "gateway.tls"
		case "DepartmentSeal":
			where = "departments[].seal"
		case "Font":
			where = "data.fonts[]"
		case "Certificate":
			where = "trust.certificates[]"
		case "UsageRule":
			where = "trust.usages[]"
		case "Witness":
			where = "witnesses.members[]"
		case "Issue":
			where = "trust.issues[]"
		case "ListSigner":
			where = "trust.status_lists[]"
		case "Delegation":
			where = "trust.delegations[]"
		}
		if where == "" {
			t.Errorf("nobody knows where %s stands in a configuration", spec.Name.Name)
		}
		fmt.Fprintf(&b, "**`%s`** %s\n\n| key | meaning |\n|---|---|\n", where, sentence(g.Doc))
		for _, f := range fields.Fields.List {
			tag, _ := strconv.Unquote(f.Tag.Value)
			key := reflect.StructTag(tag).Get("yaml")
			if key == ",inline" { // the kinds of adapters
				for _, k := range config.Kinds() {
					fmt.Fprintf(&b, "| `%s` | %s |\n", k.Key, k.Doc)
				}
				continue
			}
			meaning := orElse(cell(f.Comment.Text()), plain[key])
			if meaning == "" {
				t.Errorf("%s.%s says nothing about itself in config/config.go", where, key)
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", key, meaning)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// plain are the meanings of keys that the code thinks need no comment.
var plain = map[string]string{
	"id": "a name of your own; stands in records", "name": "for people", "name_en": "for people", "uscc": "统一社会信用代码",
	"department": "id of the department it belongs to", "tls": "see `gateway.tls`", "certificate": "file", "key": "file",
	"dir": "folder of the keystore", "passphrase_file": "file with the passphrase, mode 0600; or",
	"catalogue": "license types (证照目录)", "matters": "matters (事项) with their materials", "calendar": "working days (工作日历)",
}

// sentence is a type's comment without the name that Go wants at its beginning, on one line.
func sentence(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

var metricForm = regexp.MustCompile(`(?s)(?:Name: |gauge\(|counter\(|NewDesc\()"(oncegate_[a-z0-9_]+)",\s*(?:Help: )?"([^"]+)"`)

// declaredMetrics are the metrics of the program, each with its help, as the code says it.
func declaredMetrics(t *testing.T) map[string]string {
	helps := make(map[string]string)
	for _, pattern := range []string{"../gateway/*.go", "../gateway/sources/*.go", "../node/*.go", "../console/session/*.go", "../witness/*.go"} {
		names, err := filepath.Glob(pattern)
		must(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			found := metricForm.FindAllStringSubmatch(read(t, name), -1)
			if declared := strings.Count(read(t, name), `"oncegate_`); declared != len(found) {
				t.Errorf("%s declares %d metrics, %d were found", name, declared, len(found))
			}
			for _, m := range found {
				helps[m[1]] = m[2]
			}
		}
	}
	return helps
}

// metrics is the table of all metrics.
func metrics(t *testing.T) string {
	helps := declaredMetrics(t)
	var b strings.Builder
	b.WriteString("| metric | what it says |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(helps)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, cell(helps[name]))
	}
	return b.String()
}

// documents are all that people read.
func documents(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(names, "../README.md", "../README.zh-CN.md", "../CHANGELOG.md", "../CONTRIBUTING.md", "../clients/python/README.md")
}

var linkForm = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)|(?:src|srcset)="([^"]+)"`)

// TestLinks follows every relative link, and every anchor.
func TestLinks(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range linkForm.FindAllStringSubmatch(read(t, name), -1) {
			target := m[1] + m[3]
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, target)
				continue
			}
			if anchor := strings.TrimPrefix(m[2], "#"); anchor != "" && !slices.Contains(anchors(t, file), anchor) {
				t.Errorf("%s: %s has no heading %s", name, target, anchor)
			}
		}
	}
}

// anchors are the names that a document's headings are linked by.
func anchors(t *testing.T, file string) (list []string) {
	for line := range strings.Lines(read(t, file)) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			keep := func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case strings.ContainsRune("-_", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 0x4e00 && r <= 0x9fff:
					return r
				}
				return -1
			}
			list = append(list, strings.Map(keep, strings.ToLower(strings.TrimSpace(title))))
		}
	}
	return list
}

var testForm = regexp.MustCompile("`([a-z0-9]+(?:/[a-z0-9]+)*)?\\.?((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")

// TestNamedTests finds every test that a document names, in the room that it names: "`gateway.TestReplay`".
func TestNamedTests(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range testForm.FindAllStringSubmatch(read(t, name), -1) {
			room, test := m[1], m[2]
			if room == "" {
				room = "."
			}
			files, _ := filepath.Glob(filepath.Join("..", room, "*_test.go"))
			if !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(read(t, f), "func "+test+"(") }) {
				t.Errorf("%s names %s.%s, which is not there", name, m[1], test)
			}
		}
	}
}

var pathForm = regexp.MustCompile("(?m)(?:^|[\\s`(])/(?:work|root|tmp|home)/")

// TestNothingLocal: a document names no folder of the machine it was written on.
func TestNothingLocal(t *testing.T) {
	for _, name := range documents(t) {
		if m := pathForm.FindString(read(t, name)); m != "" {
			t.Errorf("%s names the folder %s", name, m)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// text is the value of a string literal.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
