package demo

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// codeOfAPerson matches every identity number and company code of the city, and of nobody else.
var codeOfAPerson = regexp.MustCompile(`379901(19|20)[0-9]{9}[0-9X]|91379901MA9[0-9A-Z]{7}`)

// Law 8: after the whole story nothing that names a person stands in plain form in the gateway's folder, its log or its
// metrics.
func TestNobodyIsNamed(t *testing.T) {
	dir := t.TempDir()
	st, err := open(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	p := newPrinter(Options{})
	if result := newStory(st, p).tell(t.Context()); !result.OK {
		t.Fatalf("%+v", result)
	}
	res, err := http.Get("http://" + st.node.AdminAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || len(metrics) == 0 {
		t.Fatal("no metrics", err)
	}
	names := namesOf(t, st)
	if err := st.close(); err != nil { // before its files are read: closing them would drop SQLite's locks
		t.Fatal(err)
	}
	discreet(t, "metrics", metrics, names)
	files := 0
	err = filepath.WalkDir(filepath.Join(dir, "gateway"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		files++
		discreet(t, name, data, names)
		return err
	})
	if err != nil || files < 30 {
		t.Errorf("%d files, %v", files, err)
	}
	for name, sample := range map[string][]byte{"market.db": names[len(names)-2], "tax-drops": names[1]} {
		data := contentOf(t, filepath.Join(dir, "city", name))
		if !codeOfAPerson.Match(data) || !bytes.Contains(data, sample) {
			t.Errorf("the scan does not even find them in %s, where they are", name)
		}
	}
}

// namesOf are the names of everybody in the story, and of everybody else, in both encodings of the city.
func namesOf(t *testing.T, st *stage) (names [][]byte) {
	t.Helper()
	people := st.city.Population
	var all []string
	for _, p := range people.People {
		all = append(all, p.Name)
	}
	for _, c := range people.Companies {
		all = append(all, c.Name)
	}
	for _, name := range all {
		old, err := simplifiedchinese.GB18030.NewEncoder().String(name)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, []byte(name), []byte(old))
	}
	return names
}

func discreet(t *testing.T, where string, data []byte, names [][]byte) {
	t.Helper()
	if at := codeOfAPerson.FindIndex(data); at != nil {
		t.Errorf("%s: a person's or company's code stands at byte %d", where, at[0])
	}
	for _, name := range names {
		if at := bytes.Index(data, name); at >= 0 {
			t.Errorf("%s: a name stands at byte %d", where, at)
			return
		}
	}
}

// contentOf reads a file, or all files of a folder.
func contentOf(t *testing.T, name string) (all []byte) {
	t.Helper()
	err := filepath.WalkDir(name, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		all = append(all, data...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
