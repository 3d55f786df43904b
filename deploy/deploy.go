// Package deploy embeds the sample configurations: city is the sample city 云川市 (which belongs to nobody) as plain configuration, so
// that a department can start by editing it.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed city
var samples embed.FS

// City returns the configuration of the sample city; its main file is oncegate.yaml.
func City() fs.FS {
	city, err := fs.Sub(samples, "city")
	if err != nil {
		panic(err) // the name is a constant
	}
	return city
}

// WriteCity writes the configuration of the sample city into a folder, which it makes if need be. It overwrites nothing: the
// error wraps fs.ErrExist if a file is there already.
func WriteCity(dir string) error {
	city := City()
	return fs.WalkDir(city, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := fs.ReadFile(city, name)
		if err != nil {
			return err
		}
		return create(target, data)
	})
}

// create writes a new file.
func create(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the sample city: %w", err)
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write the sample city: %w", err)
	}
	return nil
}
