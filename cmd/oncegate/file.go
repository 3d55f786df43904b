package main

import (
	"fmt"
	"os"
)

// A newlyMade is a file for its owner alone that is made when its first line is written. It replaces none.
type newlyMade struct {
	name string
	file *os.File
}

func newFile(name string) *newlyMade { return &newlyMade{name: name} }

// absent is an error where the file is there already: that is found before work begins whose result it is for.
func (f *newlyMade) absent() error {
	if f.name == "" {
		return nil
	}
	if _, err := os.Lstat(f.name); err == nil {
		return fmt.Errorf("%s is there already; name a new file", f.name)
	}
	return nil
}

func (f *newlyMade) line(text []byte) (err error) {
	if f.file == nil {
		if f.file, err = os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
	}
	_, err = f.file.Write(append(text[:len(text):len(text)], '\n'))
	return err
}

func (f *newlyMade) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
