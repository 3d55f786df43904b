package docs_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"oncegate/config"
	"oncegate/fault"
	"oncegate/license"
	"oncegate/strictyaml"
)

// worked are the blocks of a worked source in adapters.md, by their language.
func worked(t *testing.T, name string) map[string]string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, "adapters.md"), "<!-- worked "+name+" -->\n")
	section, _, ok2 := strings.Cut(rest, "<!-- table "+name+" -->")
	if !ok || !ok2 {
		t.Fatalf("adapters.md has no worked source %s", name)
	}
	blocks := map[string]string{}
	for block := range strings.SplitSeq(section, "\n```") {
		language, text, _ := strings.Cut(strings.TrimPrefix(block, "```"), "\n")
		if language != "" && blocks[language] == "" {
			blocks[language] = text + "\n"
		}
	}
	return blocks
}

// open opens a worked source as serve does, from its text, as the file sources/NAME.yaml of an installation in dir with the catalogue of
// the sample city.
func open(t *testing.T, dir, text string) (config.Adapter, config.Source) {
	t.Helper()
	limits := strictyaml.Limits{Bytes: 1 << 20, Depth: 64, Values: 1 << 16}
	decode := func(name string, data []byte, into any) {
		var faults fault.List
		strictyaml.Decode(name, data, limits, into, &faults)
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
	}
	catalogue := &license.Catalogue{}
	decode("catalogue.yaml", []byte(read(t, "../deploy/city/catalogue.yaml")), catalogue)
	var file struct {
		Sources []config.Source `yaml:"sources"`
	}
	decode("source.yaml", []byte(text), &file)
	if len(file.Sources) != 1 {
		t.Fatalf("%d sources", len(file.Sources))
	}
	source := file.Sources[0]
	_, adapter := source.Adapter.Config()
	adapter.SetID(source.ID)
	adapter.ResolvePaths(filepath.Join(dir, "sources"))
	if faults := adapter.Check(catalogue); len(faults) > 0 {
		t.Fatal(faults)
	}
	opened, err := config.OpenSource{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}.Open(source, &config.Setup{Catalogue: catalogue})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened, source
}

// answers asks a source about holders, and is the table that a document shows of it.
func answers(t *testing.T, a config.Adapter, licenseType string, holders ...license.HolderID) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| asked about | answer | number | holder | issued | valid to | status |\n|---|---|---|---|---|---|---|\n")
	for _, h := range holders {
		found, err := a.Find(context.Background(), license.Request{Questions: []license.Question{{Type: licenseType, Holder: h}}})
		if err != nil {
			t.Fatal(err)
		}
		f := found[0]
		if f.State != license.IsFound {
			said := string(f.State)
			if f.Err != nil {
				said += ": " + f.Err.Error()
			}
			fmt.Fprintf(&b, "| `%s` | %s | | | | | |\n", h.Code, said)
		}
		slices.SortFunc(f.Records, func(a, b license.License) int { return strings.Compare(a.Number, b.Number) })
		for _, l := range f.Records {
			fmt.Fprintf(&b, "| `%s` | found | %s | %s | %s | %s | %s |\n", h.Code, l.Number, l.Holders[0].Name, orElse(string(l.Issued), "not stated"), orElse(string(l.ValidTo), "长期"), l.Status)
		}
	}
	return b.String()
}

func uscc(code string) license.HolderID { return license.HolderID{Type: "001", Code: code} }

// TestWorkedDatabases runs the worked sources for databases on the MariaDB that ONCEGATE_TEST_MARIADB names: schema, account and
// configuration as the document has them.
func TestWorkedDatabases(t *testing.T) {
	server := os.Getenv("ONCEGATE_TEST_MARIADB")
	if server == "" {
		t.Skip("ONCEGATE_TEST_MARIADB is not set: the worked sources of adapters.md were not run")
	}
	cfg, err := mysql.ParseDSN(server)
	if err != nil {
		t.Fatal("ONCEGATE_TEST_MARIADB is no DSN of MySQL")
	}
	cfg.MultiStatements = true // a block of the document is run as it stands
	// The account of the document, with a name of its own for each run.
	_, rest, _ := strings.Cut(read(t, "adapters.md"), "```sql\n")
	account, _, _ := strings.Cut(rest, "```")
	for _, c := range []struct {
		name, licenseType string
		holders           []license.HolderID
	}{
		{"transport", "road-transport-license", []license.HolderID{uscc("91379901MA9920002Q"), {Type: "111", Code: "379901199003070011"}, uscc("91379901MA9920003U"), uscc("91379901MA9920004Y")}},
		{"food", "food-business-license", []license.HolderID{uscc("91379901MA9920002Q"), uscc("91379901MA9920003U"), uscc("91379901MA9920004Y"), uscc("91379901MA99200052")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			blocks := worked(t, c.name)
			database := fmt.Sprintf("oncegate_docs_%s_%d", c.name, os.Getpid())
			user := fmt.Sprintf("oncegate_ro_%s_%d", c.name, os.Getpid())
			admin, err := sql.Open("mysql", cfg.FormatDSN())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { admin.Close() })
			conn, err := admin.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			do := func(statements string) {
				t.Helper()
				if _, err := conn.ExecContext(t.Context(), statements); err != nil {
					t.Fatalf("%s: %v", statements, err)
				}
			}
			do("create database " + database + ";\nuse " + database + ";\nset session sql_mode = '';\n" + blocks["sql"])
			t.Cleanup(func() {
				for _, statement := range []string{"drop database " + database, "drop user " + user + "@'%'"} {
					if _, err := admin.Exec(statement); err != nil {
						t.Error(err)
					}
				}
			})
			do(strings.NewReplacer("oncegate_ro", user, "dlysgl", database).Replace(account))
			dsn := strings.TrimSpace(worked(t, "transport")["text"])
			at := strings.Index(dsn, "@tcp(")
			dsn = user + ":a long random password@tcp(" + cfg.Addr + ")/" + database + strings.Replace(dsn[strings.Index(dsn[at:], "?")+at:], "tls=true&", "", 1) // the server of the test is on this machine
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "secrets"), 0o700), os.WriteFile(filepath.Join(dir, "secrets", c.name+".dsn"), []byte(dsn+"\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			source, _ := open(t, dir, blocks["yaml"])
			if err := source.Check(t.Context()); err != nil {
				t.Error(err)
			}
			hold(t, "adapters.md", c.name, answers(t, source, c.licenseType, c.holders...))
		})
	}
}

// TestWorkedFolder runs the worked source for workbooks on a folder with a workbook as the document describes it.
func TestWorkedFolder(t *testing.T) {
	blocks := worked(t, "tax")
	dir := t.TempDir()
	drops := filepath.Join(dir, "drops", "tax")
	if err := os.MkdirAll(drops, 0o755); err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(strings.Replace(blocks["csv"], "\n\n", "\n,\n", 1))) // an empty row, which CSV would skip
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	book := excelize.NewFile()
	day := "yyyy/m/d"
	style, err := book.NewStyle(&excelize.Style{CustomNumFmt: &day})
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		for j, text := range row {
			cell, _ := excelize.CoordinatesToCellName(j+1, i+1)
			var value any = text
			if at, err := time.Parse(time.DateOnly, text); err == nil { // a date of Excel's own
				value = at
			} else if n, err := strconv.ParseFloat(text, 64); err == nil {
				value = n
			}
			err := book.SetCellValue("Sheet1", cell, value)
			if _, is := value.(time.Time); is {
				err = errors.Join(err, book.SetCellStyle("Sheet1", cell, cell, style))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var out bytes.Buffer
	if err := book.Write(&out); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(drops, "tax-"+time.Now().Format("20060102")+".xlsx")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // it has lain long enough
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	source, _ := open(t, dir, blocks["yaml"])
	if err := source.Check(t.Context()); err != nil {
		t.Error(err)
	}
	hold(t, "adapters.md", "tax", answers(t, source, "tax-clearance", uscc("91379901MA9920002Q"), uscc("91379901MA9920003U"), uscc("91379901MA9920004Y")))
}

// whatToDo is what to do about each cause, for stewards.
var whatToDo = map[license.Cause]string{
	license.ConnectionRefused: "Compare host and port in the DSN or `base_url` with the system's. Is it running? Does it listen on this network, not only on itself?",
	license.UnknownHost:       "Write the name as the system's people do, or its address. Ask the operator which name service this machine uses.",
	license.Unreachable:       "A firewall or a route is missing between this machine and the system: the operator asks the network's people for this very address and port.",
	license.TimedOut:          "Run the query by hand: does it use an index on the holder's code? If it is slow only now and then, `deadline` of the source may be longer, but stays below `limits.call`.",
	license.Disconnected:      "The system was restarted, or it closes connections that are idle. If it stays: its own log says why.",
	license.TLSFailed:         "The system speaks no TLS, or its certificate is of an authority that is not trusted, or for another name. Section 6 names where the authority's file goes.",
	license.Authentication:    "User or password is wrong or has expired, or this machine's address may not log in. Try it by hand with the same DSN. A new password goes into the secret's file.",
	license.Forbidden:         "The account may log in, but not read this: grant it `select` on the tables of the query.",
	license.NoDatabase:        "The name of the database, service or file in the DSN is not there.",
	license.Busy:              "Locked, or no connection is free. `max_connections` of all sources and programs together must fit the database.",
	license.HTTPStatus:        "The system, or a proxy before it, refuses: 401 and 403 mean the secret, 404 the path. What means \"there is none\" belongs under `not_found`.",
	license.UnreadableAnswer:  "What came is no JSON, or too long: often a proxy's login page. Ask the system by hand from this machine.",
	license.NoDrop:            "No file of this `pattern` has been taken yet. Is one there, is its marker there, was it refused? The log says which.",
	license.DropTooOld:        "The department has not delivered for longer than `max_age`. Ask it; a longer `max_age` only hides it.",
	license.SourceClosed:      "The gateway is stopping, or the source was just taken out of the configuration.",
	license.OtherCause:        "The code says it in the driver's own words; look it up in the database's manual.",
	license.NoTable:           "The table of the query is not there, or not in this schema, or the account cannot see it. \"Is gone\" means that it was there: ask who changed the schema.",
	license.NoColumn:          "The query, or the mapping, names a column that the answer does not have. The name stands in the sentence.",
	license.BadStatement:      "The database does not accept the query: run it by hand in its own tool, with a code in the place of each parameter.",
	license.BadAnswer:         "More rows than `max_rows`: is the holder's code really a condition? Or two columns of one name: rename one with `as`.",
	license.NotADay:           "The column holds a date in a form that no layout has. Add the layout, or correct the date where it was entered; what means nothing goes under `absent`.",
	license.UnlistedCode:      "Your system has a code that `codes` does not list. Find out what it means, add it, and raise the version of `list`.",
	license.BadValue:          "The value cannot be read: a lost character, binary data, an empty end of validity. Convert it in the query, or correct it.",
	license.BadRecord:         "The record breaks a rule of its license type: the sentence names field and rule. Often a required field is empty, or two rows of one license differ.",
	license.OtherHolder:       "The query answers about somebody else: its condition on `:holder_code` is not what you think, or `or` lacks its brackets.",
	license.DropRefused:       "The sentence names the line. Correct it in the department's export; the drop before goes on serving until `max_age`.",
}

// causesTable are all causes, with the sentence that a steward reads and what to do.
func causesTable(t *testing.T) string {
	var b strings.Builder
	for _, faulty := range []bool{false, true} {
		title := "outage"
		if faulty {
			title = "the source's fault"
		}
		fmt.Fprintf(&b, "| %s | it says | what to do |\n|---|---|---|\n", title)
		for _, c := range license.Causes() {
			if c.Faulty() != faulty {
				continue
			}
			e := &license.SourceError{Cause: c}
			switch c {
			case license.HTTPStatus:
				e.Status = 403
			case license.NoTable:
				e.Name, e.Code = "XK_DLYS", "MySQL 1146"
			case license.NoColumn:
				e.Name, e.Code = "ZZBH", "MySQL 1054"
			case license.NotADay:
				e.Row, e.Name, e.Detail = 2, "FZRQ", "not a day in any of the layouts"
			case license.UnlistedCode:
				e.Row, e.Name, e.Detail = 1, "ZZZT", "the code is not in the table of list yunchuan-dlys-zzzt/2004"
			case license.BadValue:
				e.Row, e.Name, e.Detail = 1, "CZZTMC", "a character was lost before it came here (U+FFFD or invalid UTF-8)"
			case license.BadRecord:
				e.Row, e.Detail = 1, "address: missing"
			case license.DropRefused:
				e.Row, e.Detail = 7, "column 开具日期: not a day in any of the layouts"
			}
			if whatToDo[c] == "" {
				t.Errorf("nobody says what to do about cause %s", c)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c, cell(e.Error()), whatToDo[c])
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// keysTable describes every key of a source and of every kind of adapter, by reflection over the configuration's own types and their
// comments. A key without a comment fails.
func keysTable(t *testing.T) string {
	k := keyWriter{t: t, named: map[reflect.Type]string{}}
	k.section("a source", reflect.TypeFor[config.Source]())
	for _, kind := range config.Kinds() {
		k.section("`"+kind.Key+"`", reflect.TypeOf((&config.AdapterChoice{}).Into(kind.Key)).Elem())
	}
	for len(k.later) > 0 {
		next := k.later[0]
		k.later = k.later[1:]
		k.section(k.named[next], next)
	}
	return strings.TrimSuffix(k.b.String(), "\n")
}

type keyWriter struct {
	t     *testing.T
	b     strings.Builder
	named map[reflect.Type]string // what a section is called, of types that have one
	later []reflect.Type
}

// standing are names of sections for types that stand in many places.
var standing = map[string]string{"mapping.Record": "`record`", "mapping.Value": "a value of `record`", "secret.Ref": "a secret"}

func (k *keyWriter) section(name string, typ reflect.Type) {
	fmt.Fprintf(&k.b, "**%s**\n\n| key | meaning |\n|---|---|\n", name)
	comments := commentsOf(k.t, typ)
	for i := range typ.NumField() {
		f := typ.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" || key == ",inline" || key == "" {
			continue
		}
		meaning := orElse(comments[f.Name], plain[key])
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && strings.HasPrefix(inner.PkgPath(), "oncegate/adapters/") {
			if k.named[inner] == "" {
				k.named[inner] = orElse(standing[path.Base(inner.PkgPath())+"."+inner.Name()], name+" › `"+key+"`")
				k.later = append(k.later, inner)
			}
			meaning = strings.TrimSpace(strings.TrimSuffix(meaning, ".") + " → *" + k.named[inner] + "*")
		}
		if meaning == "" {
			k.t.Errorf("%s: key %s says nothing about itself in %s", name, key, typ)
		}
		fmt.Fprintf(&k.b, "| `%s` | %s |\n", key, meaning)
	}
	k.b.WriteString("\n")
}

// commentsOf are the comments of a type's fields, by field; a field's name in them is the key that the steward writes.
func commentsOf(t *testing.T, typ reflect.Type) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", strings.TrimPrefix(typ.PkgPath(), "oncegate/"), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		for _, d := range parse(t, file).Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				spec := s.(*ast.TypeSpec)
				fields, ok := spec.Type.(*ast.StructType)
				if !ok || spec.Name.Name != typ.Name() {
					continue
				}
				for _, f := range fields.Fields.List {
					text := strings.TrimSpace(cell(f.Doc.Text()) + " " + cell(f.Comment.Text()))
					for _, n := range f.Names {
						comments[n.Name] = strings.TrimPrefix(text, n.Name+" is ")
					}
				}
			}
		}
	}
	for name, text := range comments {
		for i := range typ.NumField() {
			f := typ.Field(i)
			text = regexp.MustCompile(`\b`+f.Name+`\b`).ReplaceAllString(text, "`"+f.Tag.Get("yaml")+"`")
		}
		comments[name] = text
	}
	return comments
}

// TestAdaptersTables: the tables of causes and of keys are what the code makes of them.
func TestAdaptersTables(t *testing.T) {
	hold(t, "adapters.md", "causes", causesTable(t))
	hold(t, "adapters.md", "keys", keysTable(t))
}

// hold holds a table of a document against what it should say, or writes it.
func hold(t *testing.T, document, name, want string) {
	t.Helper()
	text := read(t, document)
	begin, end := "<!-- table "+name+" -->\n", "<!-- end "+name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table %s", document, name)
	}
	if *update {
		if err := os.WriteFile(document, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, was); diff != "" {
		t.Errorf("%s is not true any more; go test ./docs -update mends it (-is, +says):\n%s", document, diff)
	}
}
