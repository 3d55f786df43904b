package deploy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteCity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gateway")
	if err := WriteCity(dir); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := fs.WalkDir(City(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		want, err := fs.ReadFile(City(), name)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s was not written as it is: %v", name, err)
		}
		return nil
	})
	if err != nil || files < 10 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// A configuration that somebody has edited is never overwritten.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "oncegate.yaml")
	if err := os.WriteFile(mine, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteCity(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(mine); err != nil || string(data) != "# mine\n" {
		t.Errorf("overwritten: %q %v", data, err)
	}
}
