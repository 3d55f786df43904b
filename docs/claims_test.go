package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"oncegate/api"
	"oncegate/config"
)

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	codeBlock  = regexp.MustCompile("(?s)```[a-z]*\n.*?```")
	kebabForm  = regexp.MustCompile(`^[a-z][a-z0-9]*(?:-[a-z0-9]+)+$`)
	dottedForm = regexp.MustCompile(`^[a-z_]+(?:\[\])?(?:\.[a-z_]+(?:\[\])?)+$`)
	routeForm  = regexp.MustCompile(`^(?:(GET|POST|PUT|DELETE) )?(/(?:v1|v/|log|status-lists|healthz|readyz|metrics|debug|openapi)[^ ?]*)`)
	nameForm   = regexp.MustCompile(`\.[A-Z][A-Za-z0-9]*$`) // of something in a package
	fileForm   = regexp.MustCompile(`^[A-Za-z0-9_.*/-]+/[A-Za-z0-9_.*/-]*$|^[A-Za-z0-9_-]+\.(?:go|md|sh|yaml|json|cedar|mod|sum)$`)
)

// presentDocuments are the documents that tell of the program as it is. The changelog tells of what it was, too.
func presentDocuments(t *testing.T) []string {
	return slices.DeleteFunc(documents(t), func(name string) bool { return name == "../CHANGELOG.md" })
}

// spans are the words in code style in the running text of a document.
func spans(t *testing.T, name string) (list []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, name), ""), -1) {
		list = append(list, m[1])
	}
	return list
}

// TestNamedFiles: every file and folder of this repository that a document names is there.
func TestNamedFiles(t *testing.T) {
	top := make(map[string]bool)
	for _, name := range tracked(t) {
		first, _, _ := strings.Cut(name, "/")
		top[first] = true
	}
	checked := 0
	for _, document := range presentDocuments(t) {
		for _, span := range spans(t, document) {
			first, _, deeper := strings.Cut(span, "/")
			if !fileForm.MatchString(span) || deeper && !top[first] && first != "." || nameForm.MatchString(span) {
				continue
			}
			checked++
			if !slices.ContainsFunc([]string{"..", ".", filepath.Dir(document), "../deploy/city", "../install/template"}, func(at string) bool {
				found, err := filepath.Glob(filepath.Join(at, filepath.FromSlash(span)))
				return err == nil && len(found) > 0
			}) && (deeper || !elsewhereMade[span]) && !plannedFiles[span] {
				t.Errorf("%s names %s, which is not there", document, span)
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d names of files were found", checked)
	}
}

// elsewhereMade are files that the program writes or that its users have.
var elsewhereMade = map[string]bool{"trust.json": true, "answer.json": true, "report.json": true, "witness.yaml": true, "NN-check.json": true, "NN-receipt.json": true, "index.json": true}

// plannedFiles are places for what is said not to be there.
var plannedFiles = map[string]bool{"certs/sdf": true}

// foreignNames are other people's, or made of two words where they are used.
var foreignNames = map[string]bool{
	"tlog-proof":     true,                             // C2SP
	"checkpoint-sm2": true, "checkpoint-ed25519": true, // steps of clients/python
	"inclusion-sm3": true, "inclusion-sha256": true,
}

// TestNamedMetrics: every metric that a document names is one of the program.
func TestNamedMetrics(t *testing.T) {
	metrics := declaredMetrics(t)
	for _, document := range presentDocuments(t) {
		text := strings.NewReplacer("oncegate_ro", "", "oncegate_client", "").Replace(read(t, document)) // a database user, a Python module
		unknownMetrics(t, document, text, metrics)
	}
}

// TestNamedEndpoints: every address that a document names is one that the contract or the admin listener has.
func TestNamedEndpoints(t *testing.T) {
	contract, err := api.NewContract()
	must(t, err)
	admin := read(t, "../node/admin.go")
	checked := 0
	for _, document := range presentDocuments(t) {
		for _, span := range spans(t, document) {
			m := routeForm.FindStringSubmatch(span)
			if m == nil || strings.ContainsAny(m[2], "…*") {
				continue
			}
			checked++
			if !slices.ContainsFunc(contract.Operations(), func(op *api.Operation) bool {
				return (m[1] == "" || m[1] == op.Method) && samePath(op.Path, m[2])
			}) && !strings.Contains(admin, `"GET `+m[2]+`"`) {
				t.Errorf("%s names the address %s, which nobody serves", document, span)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d addresses were found", checked)
	}
}

// samePath reports whether a path, in which words may stand for members, is that of an operation or begins it.
func samePath(template, named string) bool {
	want, got := strings.Split(strings.Trim(template, "/"), "/"), strings.Split(strings.Trim(named, "/"), "/")
	if len(got) > len(want) && !strings.HasPrefix(want[len(want)-1], "{") {
		return false
	}
	for i, segment := range got {
		if i >= len(want) {
			break // the last member may have slashes of its own
		}
		if !strings.HasPrefix(want[i], "{") && want[i] != segment {
			return false
		}
	}
	return len(got) >= len(want) || strings.HasSuffix(named, "/")
}

// TestNamedCodes: every code, reason and setting that a document names stands in the program.
func TestNamedCodes(t *testing.T) {
	program, settings := programText(t), make(map[string]bool)
	settingsOf(reflect.TypeFor[config.Config](), "", settings)
	checked := 0
	for _, document := range presentDocuments(t) {
		for _, span := range spans(t, document) {
			switch {
			case kebabForm.MatchString(span):
				checked++
				if !program[span] && !foreignNames[span] {
					t.Errorf("%s names %s, which the program does not know", document, span)
				}
			case dottedForm.MatchString(span) && settings[strings.TrimSuffix(strings.Split(span, ".")[0], "[]")]:
				checked++
				if !settings[strings.ReplaceAll(span, "[]", "")] && !program[span] && !namesFile(span) {
					t.Errorf("%s names %s, which is neither a setting nor anything else of the program", document, span)
				}
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d codes and settings were found", checked)
	}
}

func namesFile(span string) bool {
	return slices.Contains([]string{".go", ".md", ".yaml", ".json", ".sh", ".db", ".pem", ".cedar"}, path.Ext(span))
}

// settingsOf collects the keys of a configuration, with their sections in front.
func settingsOf(of reflect.Type, prefix string, into map[string]bool) {
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return
	}
	for i := range of.NumField() {
		key, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		into[prefix+key] = true
		settingsOf(of.Field(i).Type, prefix+key+".", into)
	}
}

var programWord = regexp.MustCompile(`[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)+`)

// programText has every word with hyphens or dots that stands in the program's sources and samples, tests excepted.
func programText(t *testing.T) map[string]bool {
	t.Helper()
	words := make(map[string]bool)
	for _, name := range tracked(t) {
		switch path.Ext(name) {
		case ".go", ".yaml", ".cedar", ".sql", ".sh", ".service", ".mod", ".py":
		default:
			continue
		}
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "corpus/testdata/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		must(t, err)
		for _, word := range programWord.FindAllString(string(data), -1) {
			words[word] = true
		}
	}
	return words
}

// listed are the files of the repository.
var listed = sync.OnceValues(func() ([]string, error) {
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err == nil {
		return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00"), nil
	}
	var names []string // without git: all files
	err = fs.WalkDir(os.DirFS(".."), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && strings.HasPrefix(e.Name(), ".") && name != "." {
			return fs.SkipDir
		}
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	return names, err
})

func tracked(t *testing.T) []string {
	t.Helper()
	names, err := listed()
	must(t, err)
	return names
}
