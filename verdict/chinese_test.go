package verdict

import (
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
	"oncegate/language/languagetest"
)

// verifying are the packages whose texts become reasons, and the files of each that verify nothing: what they say stands in logs, in
// problem documents and at those who make things. A file that is not named here is read, so that a new one is not forgotten.
var verifying = map[string]string{
	"verdict": "sentence zh",
	"tlog":    "tlog log batch head tiles serve view",
	"audit":   "change recorder evidence auditor entry retain",

	"canonical": "ordered",

	"license": "catalogue claims codes source zh validate",

	"certs/cms": "marshal sign", "certs/der": "", "certs/jws": "", "certs/note": "note", "certs/ofd": "annotate archive draw sign write",
	"certs/pki": "ca crl", "certs/revocation": "cache client", "certs/sdjwt": "issue", "certs/seal": "make marshal sign",
	"certs/second": "dual", "certs/sm": "pem signer", "certs/statuslist": "", "certs/timestamp": "client", "certs/token": "id",
}

// partly are packages of which only some files verify: those that hold tables against the log.
var partly = map[string]string{"store": "replay comparison verify", "install": "state"}

// unread are texts of these files that no reader of a verification sees, and why.
var unread = map[string]string{
	// said to who makes, signs or issues
	"no package can be made of this document": "ofd.Write", "an annotated copy cannot expire in the past": "ofd.Copy", "the package cannot be signed like this": "ofd.Sign",
	"sign jws: %v": "jws.Sign", "sign status list: %v": "statuslist.Sign", "sign status list: %v: subject, time and list are required": "statuslist.Sign",
	"sign token: %v": "token.Sign", "make token id: %v": "token.Sign", "generate sm2 key: %v": "sm.GenerateKey", "marshal sm2 public key: %v": "sm.MarshalPEM",
	"parse sm2 private key: not a scalar in [1, n-2]": "sm.ParsePrivateKey", "sign checkpoint: %v": "tlog.Log", "write receipt: checkpoint: %v": "tlog.Log",
	"raise license version: %v": "license.Identifier.Next", "check holder code: %v": "license.CheckHolder, of a caller", "the question cannot be answered": "license.Question, of a caller", "%v: it cannot be asked": "license.Question, of a caller",
	"sign actor token: %v": "token.SignActor", "digest request: %v": "token.RequestDigest, of text that is no UTF-8", "digest key: %v": "token.KeyDigest, of no key",

	"summarize records: 1 to %v periods in their order are expected": "audit.Count, of a caller", "summarize records: cases are not counted: their numbers stand in two forms": "audit.Count, of a caller", "summarize records: %v": "audit.Count, of the database",
	"read report: %v": "verdict.VerifyReport, of the file", "verify what stands beside records: %v": "audit.VerifyStored, of the database", "the report of %v records on %v pages": "a sentence, which has its Chinese beside it",
	"the answer is no page of a report": "verdict.ReadReport, of the file", "read page %v of the report: %v": "verdict.ReadReport, of the file",
	"read the newest status lists seen: %v": "verdict.OpenSeenLists", "write the newest status lists seen: %v": "verdict.SeenLists, to the log",
	", with a ttl of %v": "a part of what listAge says, see elsewhere",

	// holding tables against the log: errors, which are no verdict, and names of columns
	"the store was opened without its keys": "install.VerifyState", "the log grew meanwhile: stop every node, or verify a copy of the database": "install.VerifyState",
	"verify state: %v": "install.VerifyState", "replayed records": "progress", "opened records": "progress", "the row is there already": "store.errTwice",
	"the log that the database writes is not %v: %v": "store.DB.Logs", "logs could not be read: %v": "store.DB.Logs", "records could not be read: %v": "store.DB.Stored", "claims could not be read: %v": "store.DB.Stored", "horizon could not be read: %v": "store.DB.Stored", "tables could not be verified: %v": "store.DB.VerifyState",
	"key, as_of, expires": "SQL", "identifier, digest, made, expires": "SQL", "jti, system, expires, pos": "SQL",

	// said in both languages, as api.Sentence
	"the document %v": "ofd", "the license %v of %v": "license", "the answer to %v of record %v": "answer",

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
	"Sequence", "Set", "Into", "Optional", "Content", "Element", "Any", "AnyElement", "Octets", "Bits", "BitString", "Int", "TaggedInt", "BigInt",
	"OID", "Enum", "Bool", "Algorithm", "UTF8", "ASCII", "Time", "GeneralizedTime", "End", "readTime", "loose", "open", "end", // members, der.Cursor
}

// members are names of members of trust.json and of values in it, which stand in Chinese texts as they are.
var members = strings.Fields("type issuers issuer delegate uscc fingerprint usage eku policy http https vkey")

// statement are texts of SQL.
var statement = regexp.MustCompile(`\bSELECT |ORDER BY `)

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

// Both languages stay together: what a verification says in English it says in Chinese. The texts are read from the sources.
func TestEveryReasonHasItsChinese(t *testing.T) {
	missing, seen, found := make(map[string]string), make(map[string]bool), 0
	read := partlySources()
	for dir, others := range verifying {
		read = append(read, sources(t, dir, others)...)
	}
	for _, source := range read {
		for _, s := range languagetest.In(t, source, saying) {
			found++
			seen[s.Text] = true
			if unread[s.Text] == "" && !statement.MatchString(s.Text) && !languagetest.Translated(catalogue, s.Text, members...) {
				missing[s.Text] = s.At
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
	languagetest.Report(t, missing, "Give each one in verdict/zh.go, stepReasons; or, if no reader of a verification sees it, name it in unread or its file in verifying")
}

// A translation names the values that the English names and speaks Chinese. It is a part of a sentence.
func TestChineseReasons(t *testing.T) {
	languagetest.Check(t, stepReasons)
	languagetest.Check(t, trustMessages, members...)
	for _, chinese := range stepReasons {
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
	for _, part := range []string{"a; b: c, d ", "x than y as of z at the signing time and w more (", `"a: `, "of an authority above it: ", "%v%v"} {
		longest := strings.Repeat(part, 2048/len(part))
		InChinese(check.Step{Reason: longest}) // comes to an end
		longer := strings.Repeat(part, 5000)
		if got := InChinese(check.Step{Reason: longer}).Reason; got != longer {
			t.Errorf("%q of %d bytes was taken apart", part, len(longer))
		}
	}
}

// elsewhere are texts that stand in no source of ours in one piece: errors of libraries, and what is put together from several.
var elsewhere = []string{
	"malformed note", "invalid signature for key %v", // golang.org/x/mod/sumdb/note
	"illegal base64 data at input byte %v", // encoding/base64
	"file does not exist",                  // io/fs

	"issued at %v, %v ago, with a ttl of %v", // verdict: listAge

	"policy is no digest", // audit: "%s is no digest"
	"%v and %v more",      // ofd: names.step
	"the revocation list is out of reach; what it said last, at %v, is over", "the responder is out of reach; what it said last, at %v, is over", // revocation: "the %s is"
	"not revoked, says the revocation list of %v", "not revoked, says the responder of %v",
}

// keyOf is a sentence as texts are compared: package language passes over a capital and a full stop, too.
func keyOf(text string) string {
	text = strings.TrimSuffix(text, ".")
	if len(text) > 1 && !unicode.IsUpper(rune(text[1])) {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// A translation that no source needs any more is taken out.
func TestNoReasonIsLeftOver(t *testing.T) {
	needed := make(map[string]bool)
	need := func(text string) { needed[keyOf(languagetest.Normal(text))] = true }
	for dir := range verifying {
		for _, source := range append(sources(t, dir, "zh"), partlySources()...) {
			file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text, literal := languagetest.Joined(e)
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
		if !needed[keyOf(english)] && !needed[keyOf(reason)] && !slices.Contains(elsewhere, english) {
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
		if name, literal := languagetest.Joined(e); literal && !strings.Contains(name, "%") {
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
			if strings.Contains(source, "verdict") && len(n.Args) > 1 && slices.Contains([]string{"Pass", "Fail", "CannotCheck", "Result", "Under"}, languagetest.NameOfCall(n)) {
				take(n.Args[0])
			}
		}
		return true
	})
}

// judgeChinese holds the steps of a run to languagetest.English.
func judgeChinese(t *testing.T, missing map[string]string, list []check.Step) {
	t.Helper()
	for _, step := range list {
		zh := InChinese(step)
		name, _, _ := strings.Cut(zh.Name, "[")
		if i := strings.LastIndexByte(zh.Name, '/'); i >= 0 {
			name, _, _ = strings.Cut(zh.Name[i+1:], "[")
		}
		if words := languagetest.English(name); len(words) > 0 {
			t.Errorf("the step %q has no Chinese name: %q", step.Name, zh.Name)
		}
		if words := languagetest.English(zh.Reason); len(words) > 0 {
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
	languagetest.Report(t, missing, "Give each one in verdict/zh.go, stepReasons; or, if no reader of a verification sees it, name it in unread or its file in verifying")
}

// silent are the packages beneath the verification whose texts no reader of one sees, and why.
var silent = map[string]string{
	"oncegate/api": "problems and sentences, which have their Chinese beside them", "oncegate/fault": "faults of configuration (config/zh.go)", "oncegate/language": "the translation itself",
	"oncegate/check": "states of steps", "oncegate/strictyaml": "faults of files", "oncegate/hashpool": "no texts of its own",
	"oncegate/register": "states of lists are taken from it; what it says itself goes to who issues", "oncegate/sheet": "draws: what it says goes to who makes layouts",
}

// Every package that the verification is built of is read for its texts, or named with the reason why not: a new one is not forgotten.
func TestEveryVerifyingPackageIsRead(t *testing.T) {
	for name := range beneath(t, "oncegate/verdict", map[string]bool{}) {
		_, read := verifying[strings.TrimPrefix(name, "oncegate/")]
		if why := silent[name]; read == (why != "") {
			t.Errorf("%s: read %t, left out because %q", name, read, why)
		}
	}
}

// beneath are a package of ours and those of ours that it imports, also through others.
func beneath(t *testing.T, name string, seen map[string]bool) map[string]bool {
	t.Helper()
	if seen[name] {
		return seen
	}
	seen[name] = true
	for _, source := range sources(t, strings.TrimPrefix(name, "oncegate/"), "") {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if path, err := strconv.Unquote(i.Path.Value); err == nil && strings.HasPrefix(path, "oncegate/") {
				beneath(t, path, seen)
			}
		}
	}
	return seen
}
