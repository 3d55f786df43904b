package client

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SeenLists is a high-water mark of status lists: by address the time of issue of the newest one that was believed. An older
// one is superseded from then on, whoever brings it. It is safe for concurrent use.
type SeenLists struct {
	file   string // "" for memory only
	report func(error)

	mu     sync.Mutex // protects seenAt
	seenAt map[string]int64

	saving sync.Mutex // held while the file is written
}

// maxSeen bounds the addresses; beyond it the one whose list is oldest is forgotten.
const maxSeen = 4096

// OpenSeenLists reads the file where it was left, and keeps it up; "" keeps it in memory only. report is told what could not
// be written.
func OpenSeenLists(file string, report func(error)) (*SeenLists, error) {
	s := &SeenLists{file: file, report: report, seenAt: make(map[string]int64)}
	if file == "" {
		return s, nil
	}
	data, err := readBounded(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.seenAt)
	}
	if err != nil {
		return nil, fmt.Errorf("read the newest status lists seen: %w", err)
	}
	return s, nil
}

// newest is when the newest list of an address was issued; zero if none was seen.
func (s *SeenLists) newest(uri string) time.Time {
	if s == nil {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.seenAt[uri]; at != 0 {
		return time.Unix(at, 0).UTC()
	}
	return time.Time{}
}

// note remembers a list that is believed.
func (s *SeenLists) note(uri string, issued time.Time) {
	if s == nil || !s.raise(uri, issued.Unix()) || s.file == "" {
		return
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	all := maps.Clone(s.seenAt)
	s.mu.Unlock()
	if err := writeSeen(s.file, all); err != nil && s.report != nil {
		s.report(fmt.Errorf("write the newest status lists seen: %w", err))
	}
}

func (s *SeenLists) raise(uri string, issued int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seenAt[uri] >= issued {
		return false
	}
	s.seenAt[uri] = issued
	if len(s.seenAt) > maxSeen {
		oldest := uri
		for other, at := range s.seenAt {
			if at < s.seenAt[oldest] {
				oldest = other
			}
		}
		delete(s.seenAt, oldest)
	}
	return true
}

// writeSeen replaces the file, so that a crash leaves the old one or the new one.
func writeSeen(name string, all map[string]int64) error {
	data, err := json.Marshal(all, json.Deterministic(true), jsontext.Multiline(true))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(append(data, '\n')); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
