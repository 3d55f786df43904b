package oncegate_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// update writes the generated parts of docs/architecture.md instead of comparing them: go test . -update
var update = flag.Bool("update", false, "write the generated parts into docs/architecture.md")

const tour = "docs/architecture.md"

// TestPicture holds the picture and the table of the rooms in docs/architecture.md against the code: they are made from imports, floors and
// package comments.
func TestPicture(t *testing.T) {
	rooms := roomsOf(t)
	for name, want := range map[string]string{"picture": picture(rooms), "rooms": directory(t, rooms)} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, ok := strings.Cut(readTour(t), begin)
		was, after, ok2 := strings.Cut(rest, end)
		switch {
		case !ok || !ok2:
			t.Errorf("%s has no part %q", tour, name)
		case *update:
			if err := os.WriteFile(tour, []byte(before+begin+want+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		case was != want:
			t.Errorf("%s: %s is not what the code says any more; go test . -update writes it again. Now:\n%s", tour, name, want)
		}
	}
}

// imports maps each room that is part of the program to the rooms that it imports.
type imports map[string]map[string]bool

// roomsOf reads the rooms from the code. Rooms that only tests have (docs, corpus, attack) and suites for tests are not part of the picture.
func roomsOf(t *testing.T) imports {
	rooms := imports{}
	for _, p := range packages(t) {
		room, ours := roomOf(p.ImportPath)
		if !ours || forTests(p.ImportPath) || floors[room] == floors["docs"] {
			continue
		}
		if rooms[room] == nil {
			rooms[room] = map[string]bool{}
		}
		for _, path := range p.Imports {
			if other, ours := roomOf(path); ours && other != room {
				rooms[room][other] = true
			}
		}
	}
	return rooms
}

// forTests reports whether a package is a suite or a fixture of tests.
func forTests(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return strings.HasSuffix(part, "test") })
}

// reaches reports whether from imports to through other rooms.
func (r imports) reaches(from, to string) bool {
	for next := range r[from] {
		if next != to && (r[next][to] || r.reaches(next, to)) {
			return true
		}
	}
	return false
}

// picture is a Mermaid flowchart: a row for each floor, and an arrow for each import that does not follow from other arrows (the transitive
// reduction).
func picture(rooms imports) string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart TD\n")
	for floor := slices.Max(slices.Collect(maps.Values(floors))); floor >= 0; floor-- {
		var names []string
		for room := range rooms {
			if floors[room] == floor {
				names = append(names, room)
			}
		}
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		fmt.Fprintf(&b, "  subgraph floor%d[floor %d]\n", floor, floor)
		for _, name := range names {
			fmt.Fprintf(&b, "    %s\n", name)
		}
		b.WriteString("  end\n")
	}
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		for _, other := range slices.Sorted(maps.Keys(rooms[room])) {
			if !rooms.reaches(room, other) {
				fmt.Fprintf(&b, "  %s --> %s\n", room, other)
			}
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// directory is a table of all packages of the program with the first sentence of each package comment.
func directory(t *testing.T, rooms imports) string {
	var b strings.Builder
	b.WriteString("| package | what it is |\n|---|---|\n")
	listed := packages(t)
	slices.SortStableFunc(listed, func(a, b listedPackage) int {
		x, _ := roomOf(a.ImportPath)
		y, _ := roomOf(b.ImportPath)
		return floors[y] - floors[x]
	})
	for _, p := range listed {
		room, _ := roomOf(p.ImportPath)
		if _, shown := rooms[room]; !shown || forTests(p.ImportPath) || p.Doc == "" {
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, "oncegate/")
		text := new(doc.Package).Synopsis(p.Doc)
		if _, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, "Package "), "Command "), " "); ok {
			text = rest
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.ReplaceAll(text, "|", "\\|"))
	}
	return b.String()
}

// named finds a Go file in the tour, and the declarations that are named right behind it: `gateway/query.go` `Gateway.query`.
var named = regexp.MustCompile("`([a-z0-9_/]+\\.go)`((?:,? `[A-Za-z][A-Za-z0-9_.]*`)*)")

// TestTour holds what docs/architecture.md names against the code: every Go file stands there, and declares what is named behind it.
func TestTour(t *testing.T) {
	text, found := readTour(t), 0
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		file, err := parser.ParseFile(token.NewFileSet(), m[1], nil, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s names %s: %v", tour, m[1], err)
			continue
		}
		for name := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return strings.ContainsRune(" ,`", r) }) {
			found++
			if !declares(file, name) {
				t.Errorf("%s: %s does not declare %s", tour, m[1], name)
			}
		}
	}
	if found < 20 {
		t.Errorf("%s traces a call through %d declarations only", tour, found)
	}
}

// declares reports whether a file declares a function, type or variable, or "Type.Method".
func declares(file *ast.File, name string) bool {
	receiver, method, isMethod := strings.Cut(name, ".")
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !isMethod && d.Recv == nil && d.Name.Name == name || isMethod && d.Recv != nil && d.Name.Name == method && receiverOf(d) == receiver {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if typed, ok := s.(*ast.TypeSpec); ok && typed.Name.Name == name {
					return true
				}
				if value, ok := s.(*ast.ValueSpec); ok && slices.ContainsFunc(value.Names, func(n *ast.Ident) bool { return n.Name == name }) {
					return true
				}
			}
		}
	}
	return false
}

// receiverOf is the name of the type that a method belongs to.
func receiverOf(d *ast.FuncDecl) string {
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func readTour(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(tour)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
