package verdict

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"oncegate/certs/certstest/office"
	"oncegate/check"
)

// verifying are the packages whose texts become reasons, and the files of each that verify nothing: what they say stands in logs, in
// problem documents and at those who make things. A file that is not named here is read, so that a new one is not forgotten.
var verifying = map[string]string{
	"verdict": "sentence trust trustfile chinese chinese_texts",
	"tlog":    "config create growth head log mark nodes proven serve stats storage turn view watch",
	"audit":   "change config draft entry evidence own person record recorder replay retain search statecheck",

	"canonical": "ordered",

	"license": "catalogue claims codes date dictionary faults license lookup validate",

	"certs/cms": "marshal sign", "certs/der": "", "certs/jws": "", "certs/note": "note", "certs/ofd": "annotate archive draw markup sign write",
	"certs/pki": "ca crl csr", "certs/revocation": "ask client fetch keep responder", "certs/sdjwt": "issue", "certs/seal": "draw glyph make marshal sign",
	"certs/second": "voices", "certs/sm": "pem signer", "certs/statuslist": "", "certs/timestamp": "authority client http", "certs/token": "id",
}

// partly are packages of which only some files verify: those that hold tables against the log.
var partly = map[string]string{"store": "replay replay_rows state_check", "node": "state"}

// unread are texts of these files that no reader of a verification sees, and why.
var unread = map[string]string{
	// said to who makes, signs or issues
	"no package can be made of this document": "ofd.Write", "an annotated copy cannot expire in the past": "ofd.Copy", "the package cannot be signed like this": "ofd.Sign",
	"sign jws: {1}": "jws.Sign", "sign status list: {1}": "statuslist.Sign", "sign status list: {1}: subject, time and list are required": "statuslist.Sign",
	"sign token: {1}": "token.Sign", "make token id: {1}": "token.Sign", "generate sm2 key: {1}": "sm.GenerateKey", "marshal sm2 public key: {1}": "sm.MarshalPEM",
	"parse sm2 private key: not a scalar in [1, n-2]": "sm.ParsePrivateKey", "sign checkpoint: {1}": "tlog.Log", "write receipt: checkpoint: {1}": "tlog.Log",
	"raise license version: {1}": "license.Identifier.Next", "not the path of a tile": "tlog.Handler",

	"read report: {1}": "verdict.VerifyReport, of the file", "verify what stands beside records: {1}": "audit.VerifyStored, of the database", "the report of {1} records on {2} pages": "a sentence, which has its Chinese beside it",
	"the answer is no page of a report": "verdict.ReadReport, of the file", "read page {1} of the report: {2}": "verdict.ReadReport, of the file",
	"read the newest status lists seen: {1}": "verdict.OpenSeenLists", "write the newest status lists seen: {1}": "verdict.SeenLists, to the log",
	", with a ttl of {1}": "a part of what listAge says, see elsewhere",

	// holding tables against the log: errors, which are no verdict, and names of columns
	"a copy of a PostgreSQL database is named by a configuration of its own": "node.VerifyState", "the log grew meanwhile: stop every node, or verify a copy of the database": "node.VerifyState",
	"verify state: {1}": "node.VerifyState", "replayed records": "progress", "opened records": "progress", "the row is there already": "store.errTwice",
	"the log that the database writes is not {1}: {2}": "store.DB.Logs", "logs could not be read: {1}": "store.DB.Logs", "tables could not be verified: {1}": "store.DB.VerifyState",
	"key, as_of, expires": "SQL", "identifier, digest, made, expires": "SQL", "jti, system, expires, pos": "SQL",

	// faults of trust.json
	"type is required": "verdict.Faults", "type is required: the catalogue id": "verdict.Faults", "type_code is required: the type code (证照类型代码) of 21 characters": "verdict.Faults",
	"type_code is a type code (证照类型代码) of 21 characters": "verdict.Faults", "issuers are required": "verdict.Faults",
	"issuers are unified social credit codes (统一社会信用代码)": "verdict.Faults", "issuer and delegate are unified social credit codes (统一社会信用代码)": "verdict.Faults",
	"uri_prefix is required: an http or https URL without query and fragment, such as https://gateway.example/status-lists": "verdict.Faults",
	"either uscc or fingerprint is required": "verdict.Faults", "uscc is not a unified social credit code (统一社会信用代码)": "verdict.Faults",
	"fingerprint is the SM3 of the certificate's DER, 64 lower-case hex digits": "verdict.Faults", "not an address of status lists": "verdict.Faults",
	"object identifiers belong to eku and policy only": "verdict.Faults", "usage is read from {1}, {2} or {3}": "verdict.Faults", "no object identifier is given a usage": "verdict.Faults",
	"{1} is not an object identifier in dotted decimals": "verdict.Faults", "{1} means any usage, so it cannot stand for {2}": "verdict.Faults",
	"{1} is not a usage; usages are {2}": "verdict.Faults",

	// said in both languages, as api.Sentence
	"the document {1}": "ofd", "the license {1} of {2}": "license", "the answer to {1} of record {2}": "answer",

	// names of the parts of artefacts, in documentation
	"license in an answer": "Kind", "seal in a document": "Kind", "signature in a document": "Kind", "revocation list in a file": "Kind", "use in a record": "Kind",

	// problem documents of licenses.verify, which have a catalogue of their own
	"is no receipt": "api.Problem", "is for documents": "api.Problem", "is not unpadded base64url": "api.Problem",
	"has neither a license, nor a document, nor an answer with its receipt, nor a receipt alone": "api.Problem",
}

// saying are the functions whose argument is a reason or a part of one, however short it is. Of others a literal counts that is a
// phrase: two words and more.
var saying = []string{
	"New", "Errorf", "malformed", "refuse", "errMember", "fail", "unknown", "add", "failed", "open", "notCheckable", "odd", "form", "Fail", "CannotCheck", "Pass", // reasons
	"sequence", "octets", "bits", "oid", "integer", "ascii", "utf8", "element", "end", "into", "loose", "moment", // members of a seal
}

var (
	phrase   = regexp.MustCompile(`\pL[\pL0-9',.;:)]* +\(?[\pL{]|\} \pL`)
	anyVerb  = regexp.MustCompile(`%[-+# 0]*[0-9]*(\.[0-9]+)?[a-zA-Z]`)
	anyValue = regexp.MustCompile(`\{[1-9]\}`)

	statement = regexp.MustCompile(`\bSELECT |ORDER BY `) // of SQL
)

// sources are the files of a package that verify.
func sources(t *testing.T, dir, others string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: no sources, %v", dir, err)
	}
	return slices.DeleteFunc(all, func(source string) bool {
		base := strings.TrimSuffix(filepath.Base(source), ".go")
		return strings.HasSuffix(base, "_test") || slices.Contains(strings.Fields(others), base)
	})
}

// partlySources are the files of partly.
func partlySources() (all []string) {
	for dir, names := range partly {
		for _, name := range strings.Fields(names) {
			all = append(all, filepath.Join("..", dir, name+".go"))
		}
	}
	return all
}

// A said is a text as it stands in a source, with {1}, {2} and so on for its values.
type said struct{ text, at string }

// saidIn collects the texts of one file: literals, and literals joined by + with values between them.
func saidIn(t *testing.T, source string) (all []said) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	take := func(e ast.Expr, always bool) bool {
		text, literal := joined(e)
		if text = numbered(text); literal && (phrase.MatchString(text) || always && len(englishIn(text)) > 0) {
			all = append(all, said{text, files.Position(e.Pos()).String()})
		}
		return literal
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			return false // tags of structures are no texts
		case *ast.CallExpr:
			if name := nameOfCall(n); len(n.Args) > 0 && slices.Contains(saying, name) {
				reason := n.Args[len(n.Args)-1] // what goes before it names a step or a tag
				if name == "Errorf" || name == "malformed" {
					reason = n.Args[0]
				}
				take(reason, true)
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
				take(n.Value, true)
			}
		case *ast.ValueSpec:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Reason" { // license.Reason: a code that its Error wraps
				for _, value := range n.Values {
					if code, literal := joined(value); literal {
						all = append(all, said{"rule broken: " + code, files.Position(value.Pos()).String()})
					}
				}
			}
		case *ast.BinaryExpr:
			return !take(n, false)
		case *ast.BasicLit:
			take(n, false)
		}
		return true
	})
	return all
}

func nameOfCall(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// joined is the text of an expression, with %v for what is no literal, and whether any part of it is one.
func joined(e ast.Expr) (text string, literal bool) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return joined(e.X)
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return s, true
		}
	case *ast.BinaryExpr:
		a, one := joined(e.X)
		b, other := joined(e.Y)
		if e.Op == token.ADD {
			return a + b, one || other
		}
	}
	return "%v", false
}

// numbered writes the verbs of a format as stepReasons does.
func numbered(format string) string {
	n := 0
	return anyVerb.ReplaceAllStringFunc(format, func(string) string { n++; return placeholder(n - 1) })
}

// codes are words that Chinese texts keep: names of members and parameters, which stand so in files and standards.
var codes = []string{"iss", "ver", "iat", "exp", "nbf", "typ", "crit", "alg", "kid", "jti", "sub", "idx", "zlib", "Vid", "ttl", "issues"}

var (
	word  = regexp.MustCompile(`[A-Za-z][A-Za-z'-]*`)
	value = regexp.MustCompile(quoted.String() + "|" + bracketed.String() + `|《[^》]*》|\{[1-9]\}`)
)

// englishIn are the English words of a text, by a written rule. A value is none: what stands in quotes or 《》, what a library said, in
// brackets and after its name, a placeholder, and a string of Latin letters that has a capital, a digit or one of . / _ @ : ~ in it, as file names, identifiers, addresses and names of
// algorithms have. Nor are codes.
func englishIn(text string) (words []string) {
	text = value.ReplaceAllString(text, " ")
	for _, token := range strings.FieldsFunc(text, func(r rune) bool {
		return r > unicode.MaxLatin1 || unicode.IsSpace(r) || strings.ContainsRune("(),;[]%", r)
	}) {
		token = strings.Trim(token, ".:")
		if strings.ContainsFunc(token, func(r rune) bool {
			return unicode.IsUpper(r) || unicode.IsDigit(r) || strings.ContainsRune("./_@:~", r)
		}) {
			if w := word.FindString(token); w != token || len(w) < 2 || strings.ToUpper(w[:1])+strings.ToLower(w[1:]) != w {
				continue // a plain word with a capital is the beginning of a sentence
			}
		}
		if w := word.FindString(token); len(w) > 1 && !slices.Contains(codes, w) {
			words = append(words, w)
		}
	}
	return words
}

// Both languages stay together: what a verification says in English it says in Chinese. The texts are read from the sources.
func TestEveryReasonHasItsChinese(t *testing.T) {
	missing, seen, found := make(map[string]string), make(map[string]bool), 0
	read := partlySources()
	for dir, others := range verifying {
		read = append(read, sources(t, dir, others)...)
	}
	for _, source := range read {
		for _, s := range saidIn(t, source) {
			found++
			seen[s.text] = true
			if unread[s.text] == "" && !statement.MatchString(s.text) && !translated(s.text) {
				missing[s.text] = s.at
			}
		}
	}
	if found < 500 {
		t.Fatalf("only %d texts were found", found)
	}
	for _, text := range slices.Sorted(maps.Keys(unread)) {
		if !seen[text] {
			t.Errorf("no source says %q any more: take it from unread", text)
		}
	}
	report(t, missing)
}

// translated reports whether a text becomes Chinese, and keeps its values.
func translated(text string) bool {
	chinese := chineseReason(anyValue.ReplaceAllStringFunc(text, func(v string) string { return "‹" + v[1:2] + "›" }))
	for _, v := range anyValue.FindAllString(text, -1) {
		if !strings.Contains(chinese, "‹"+v[1:2]+"›") {
			return false
		}
	}
	return len(englishIn(chinese)) == 0
}

// report prints what lacks Chinese as lines for stepReasons.
func report(t *testing.T, missing map[string]string) {
	t.Helper()
	if len(missing) == 0 {
		return
	}
	var lines strings.Builder
	for _, text := range slices.SortedFunc(maps.Keys(missing), func(a, b string) int { return cmp.Or(cmp.Compare(missing[a], missing[b]), cmp.Compare(a, b)) }) {
		fmt.Fprintf(&lines, "\t%q: \"\", // %s\n", text, missing[text])
	}
	t.Errorf("%d reasons have no Chinese. Give each one in verdict/chinese_texts.go, stepReasons; or, if no reader of a verification sees it, name it in unread or its file in verifying:\n%s", len(missing), lines.String())
}

// A translation names the values that the English names, in whatever order, and speaks Chinese.
func TestChineseReasons(t *testing.T) {
	for english, chinese := range stepReasons {
		if got, want := anyValue.FindAllString(chinese, -1), anyValue.FindAllString(english, -1); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("%q and %q differ in what they name, or {1}, {2} do not stand in order in the English", english, chinese)
		}
		if words := englishIn(chinese); len(words) > 0 {
			t.Errorf("%q has English in it: %q", chinese, words)
		}
		if strings.HasSuffix(chinese, "。") {
			t.Errorf("%q ends in a full stop: reasons are parts of sentences", chinese)
		}
	}
}

// Reasons quote others, list values and name moments.
func TestChineseOfNestedReasons(t *testing.T) {
	for english, want := range map[string]string{
		"valid as of 2026-11-23T04:00:00.000Z, 26h5m7s ago, and a list of 2026-11-24T04:00:00.000Z has superseded it: ask for a new one": "截至 2026-11-23 12:00:00（1 天 2 小时前）：有效，但已有 2026-11-24 12:00:00 签发的新列表取代它：请获取新的列表",
		"co-signed by 1 of 2 known witnesses: w.example at 2026-11-23T04:00:00Z, v.example at a time it does not state":                  "2 个已知见证方中有 1 个联署：w.example（2026-11-23 12:00:00）、v.example（时间未载明）",
		"revoked as of 2026-11-23T04:00:00.000Z": "截至 2026-11-23 12:00:00：撤销或注销",
		"suspended as of 2026-11-23T04:00:00.000Z, 59s ago, and the list has expired since: ask for a new one":                     "截至 2026-11-23 12:00:00（59 秒前）：暂扣，但该列表现已过期：请获取新的列表",
		`In the package, but not in OFDEntries.xml: "a.xml", "b; c: d.xml" and 3 more.`:                                            `在文件包中，但不在 OFDEntries.xml 中："a.xml", "b; c: d.xml"，另有 3 个`,
		"values that the standard does not explain: seal type 7, critical extension 1.2.3":                                         "有标准未作规定的取值：印章类型 7、关键扩展项 1.2.3",
		"certificate is for another usage than \"seal\"":                                                                           "证书用途不符，应为 \"seal\"",
		"timestamp-chain: certificate has expired: an authority above it":                                                          "时间戳证书链：证书已过期：其上级证书",
		"not revoked, says the responder of 2026-11-23T04:00:00Z; of an authority above it: there is no source of revocation data": "证书未吊销（依据 2026-11-23 12:00:00 的 OCSP 应答）；其上级证书：没有吊销信息来源",
		`fork: file "a" and file "b" show different entries 3 to 4 of log x.example/log in the sha256 tree`:                        `日志分叉：日志 x.example/log 中序号 3 至 4 的条目，文件 "a" 与文件 "b" 在 SHA-256 树中不同`,
		"certificate cannot be read: x509: malformed certificate":                                                                  "证书无法解析（x509: malformed certificate）",
		"nobody has said this before": "nobody has said this before",
	} {
		if got := InChinese(check.Step{Reason: english}).Reason; got != want {
			t.Errorf("%q\nis   %q\nwant %q", english, got, want)
		}
	}
}

// Names in certificates stand in reasons as their owners wrote them. A name that looks like many reasons costs little.
func TestChineseOfHostileNames(t *testing.T) {
	for _, part := range []string{"a; b: c, d ", "x than y as of z at the signing time and w more (", `"a: `, "of an authority above it: ", "{1}{2}"} {
		longest := strings.Repeat(part, maxReason/len(part))
		InChinese(check.Step{Reason: longest}) // comes to an end
		longer := strings.Repeat(part, 5000)
		if got := InChinese(check.Step{Reason: longer}).Reason; got != longer {
			t.Errorf("%q of %d bytes was taken apart", part, len(longer))
		}
	}
}

// elsewhere are texts that stand in no source of ours in one piece: errors of libraries, and what is put together from several.
var elsewhere = []string{
	"malformed note", "invalid signature for key {1}", // golang.org/x/mod/sumdb/note
	"illegal base64 data at input byte {1}", // encoding/base64
	"file does not exist",                   // io/fs

	"issued at {1}, {2} ago, with a ttl of {3}", // verdict: listAge

	"policy is no digest", // audit: "%s is no digest"
	"{1} and {2} more",    // ofd: names.step
	"the revocation list is out of reach; what it said last, at {1}, is over", "the responder is out of reach; what it said last, at {1}, is over", // revocation: "the %s is"
	"not revoked, says the revocation list of {1}", "not revoked, says the responder of {1}",
}

// A translation that no source needs any more is taken out.
func TestNoReasonIsLeftOver(t *testing.T) {
	needed := make(map[string]bool)
	need := func(text string) { needed[sentenceKey(numbered(anyValue.ReplaceAllString(text, "%v")))] = true }
	for dir := range verifying {
		for _, source := range append(sources(t, dir, "chinese_texts"), partlySources()...) {
			file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text, literal := joined(e)
				if !literal {
					return true
				}
				need(text)
				for _, sentence := range strings.Split(text, "; ") {
					need(sentence)
					for rest, more := sentence, true; more; {
						var part string
						part, rest, more = strings.Cut(rest, ": ")
						need(part)
						need(rest)
					}
				}
				return true
			})
		}
	}
	var left []string
	for english := range stepReasons {
		reason := strings.TrimPrefix(english, "rule broken: ") // license.Reason
		if !needed[sentenceKey(english)] && !needed[sentenceKey(reason)] && !slices.Contains(elsewhere, english) {
			left = append(left, strconv.Quote(english))
		}
	}
	if slices.Sort(left); len(left) > 0 {
		t.Errorf("no source says %d reasons any more; take them from stepReasons:\n\t%s", len(left), strings.Join(left, "\n\t"))
	}
}

// Every step that a proof needs or knows, that a package has a constant for or that this package takes by its name, has a Chinese name.
func TestChineseStepNames(t *testing.T) {
	names := make(map[string]string)
	for kind, p := range proofs {
		for _, name := range slices.Concat(p.needs, p.open) {
			names[name] = string(kind)
		}
	}
	for dir, others := range verifying {
		for _, source := range sources(t, dir, others) {
			stepsIn(t, source, names)
		}
	}
	if len(names) < 100 {
		t.Fatalf("only %d names of steps were found", len(names))
	}
	for name, at := range names {
		prefixes := []string{"", "cms-", "license-"} // cms and sdjwt leave the first word to their callers
		if !slices.ContainsFunc(prefixes, func(before string) bool { return stepNames[before+name] != "" }) {
			t.Errorf("the step %q has no Chinese name, stepNames: %s", name, at)
		}
	}
}

// stepsIn collects the names of steps in one file: constants Step…, and the first argument of what takes a step in this package.
func stepsIn(t *testing.T, source string, names map[string]string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	take := func(e ast.Expr) {
		if name, literal := joined(e); literal && !strings.Contains(name, "%") {
			names[strings.TrimSuffix(path.Base(name), "[")] = files.Position(e.Pos()).String()
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if strings.HasPrefix(strings.ToLower(id.Name), "step") && i < len(n.Values) && !strings.HasSuffix(id.Name, "Part") {
					take(n.Values[i])
				}
			}
		case *ast.CallExpr:
			if strings.Contains(source, "verdict") && len(n.Args) > 1 && slices.Contains([]string{"ok", "fail", "unknown", "result", "under"}, nameOfCall(n)) {
				take(n.Args[0])
			}
		}
		return true
	})
}

// judgeChinese holds the steps of a run to englishIn.
func judgeChinese(t *testing.T, missing map[string]string, list []check.Step) {
	t.Helper()
	for _, step := range list {
		zh := InChinese(step)
		name, _, _ := strings.Cut(zh.Name, "[")
		if i := strings.LastIndexByte(zh.Name, '/'); i >= 0 {
			name, _, _ = strings.Cut(zh.Name[i+1:], "[")
		}
		if words := englishIn(name); len(words) > 0 {
			t.Errorf("the step %q has no Chinese name: %q", step.Name, zh.Name)
		}
		if words := englishIn(zh.Reason); len(words) > 0 {
			missing[step.Reason] = fmt.Sprintf("%s: %s", step.Name, zh.Reason)
		}
	}
}

// What real runs say is Chinese, too: documents of all makers and of liars, and everything that a gateway hands out, whole, altered,
// cut short, alone, and under a trust that knows nothing of it.
func TestRunsSpeakChinese(t *testing.T) {
	missing, steps := make(map[string]string), 0
	run := func(trust *Trust, artefacts ...Artefact) {
		for _, v := range trust.Verify(artefacts...) {
			steps += len(v.Steps)
			judgeChinese(t, missing, v.Steps)
		}
	}
	o := office.New(t, "chinese", time.Now())
	known, stranger := trustOf(t, o, nil, nil), newCity(t).newTrust()
	for _, c := range slices.Concat(o.Cases(), o.Vendors(), o.Hostile()) {
		run(known, artefactsOf(c)...)
		if len(c.Files) > 1 {
			run(known, artefactsOf(c)[0])
		}
	}
	r := newRun(t)
	all := r.artefacts()
	run(r.trust, all...)
	run(known, all...)
	run(stranger, Artefact{Data: o.License()})
	for i, a := range all {
		run(r.trust, a)
		altered := slices.Clone(all)
		for _, at := range []int{0, len(a.Data) / 2} {
			altered[i].Data = slices.Clone(a.Data)
			altered[i].Data[at] ^= 1
			run(r.trust, altered...)
		}
		altered[i].Data = a.Data[:len(a.Data)/2]
		run(r.trust, altered...)
	}
	if steps < 1000 {
		t.Fatalf("only %d steps were taken", steps)
	}
	report(t, missing)
}
