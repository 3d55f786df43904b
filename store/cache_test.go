package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// Readers of a rowCache never see an older value than the database showed somebody before they asked, whatever is written
// meanwhile.
func TestKnown(t *testing.T) {
	const keys = 8
	var database [keys]atomic.Int64
	k := newRowCache[int, int64](keys / 2)
	var stop atomic.Bool
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			for n := r; !stop.Load(); n++ {
				key := n % keys
				shown := database[key].Load()
				got, err := k.get(key, func() (int64, error) { return database[key].Load(), nil })
				if err != nil || got < shown {
					t.Errorf("key %d: %d after %d was shown (%v)", key, got, shown, err)
					return
				}
			}
		})
	}
	for n := range 20000 {
		key := n % keys
		release := k.invalidate([]int{key})
		database[key].Add(1) // the commit
		release()
		if got, _ := k.get(key, func() (int64, error) { return database[key].Load(), nil }); got != database[key].Load() {
			t.Errorf("key %d: %d is not what was committed", key, got)
		}
	}
	stop.Store(true)
	readers.Wait()
	if len(k.values) > keys/2 || len(k.blocked) > 0 {
		t.Errorf("%d values are cached, %d keys blocked", len(k.values), len(k.blocked))
	}
}

func TestKnownErrors(t *testing.T) {
	k := newRowCache[string, int](4)
	down := errors.New("down")
	if _, err := k.get("a", func() (int, error) { return 0, down }); !errors.Is(err, down) {
		t.Error(err)
	}
	reads := 0
	for range 3 {
		if v, err := k.get("a", func() (int, error) { reads++; return 7, nil }); v != 7 || err != nil {
			t.Error(v, err)
		}
	}
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
	release := k.invalidate([]string{"a", "b"})
	for i := range 3 {
		if v, _ := k.get("a", func() (int, error) { return i, nil }); v != i {
			t.Errorf("%d is cached under a key that is blocked", v)
		}
	}
	release()
	var none *rowCache[string, int]
	none.invalidate([]string{"a"})()
	for i := range 2 {
		if v, _ := none.get("a", func() (int, error) { return i, nil }); v != i {
			t.Error(fmt.Sprint("a nil rowCache caches ", v))
		}
	}
}
