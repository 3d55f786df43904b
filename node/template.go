package node

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MainFile is the name of the main configuration file of samples and new installations.
const MainFile = "oncegate.yaml"

//go:embed template
var template embed.FS

// WriteTemplate writes a small configuration that is complete but for its legacy systems into a folder, which it makes if
// need be. It overwrites nothing: the error is fs.ErrExist if a file is there.
func WriteTemplate(dir string) error {
	return fs.WalkDir(template, "template", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("template", filepath.FromSlash(name))
		if err != nil {
			return err
		}
		target := filepath.Join(dir, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := template.ReadFile(name)
		if err != nil {
			return err
		}
		return createFile(target, data)
	})
}

// createFile writes a file that must not be there.
func createFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Init makes a new installation: write puts a configuration into the folder (WriteTemplate, or a sample's), and Prepare makes
// everything else. It overwrites nothing.
func Init(ctx context.Context, dir string, write func(dir string) error, o PrepareOptions) (*Prepared, error) {
	if _, err := os.Stat(filepath.Join(dir, MainFile)); err == nil {
		return nil, fmt.Errorf("write configuration: %s: %w", filepath.Join(dir, MainFile), fs.ErrExist)
	}
	if err := write(dir); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return Prepare(ctx, filepath.Join(dir, MainFile), o)
}
