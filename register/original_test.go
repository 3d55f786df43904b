package register_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/register"
)

// The original of a version is made once: for a hundred callers at once, for those after them, across a restart, and where two
// nodes make one at the same time, the second takes the first one's.
func TestOriginalIsMadeOnce(t *testing.T) {
	b := newBench(t)
	now := noon
	b.config.Now = func() time.Time { return now }
	b.open(t)
	v := b.release(t, company(t, 1), noon).Version
	var made atomic.Int64
	content := []byte("the whole license of 示例食品店")
	make := func(context.Context) ([]byte, error) { made.Add(1); return content, nil }

	digests := [100][32]byte{}
	var all sync.WaitGroup
	for i := range digests {
		all.Go(func() {
			o, changes, err := b.Original(t.Context(), v, make)
			if err == nil {
				err = b.storage.Commit(t.Context(), changes...)
			}
			if digests[i] = o.Digest; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || digests[0] != digests[99] {
		t.Errorf("made %d times", made.Load())
	}
	b.open(t) // a restart
	o, changes, err := b.Original(t.Context(), v, make)
	if err != nil || len(changes) != 0 || made.Load() != 1 || o.Digest != digests[0] {
		t.Errorf("%d changes, made %d times, %v", len(changes), made.Load(), err)
	}
	if bytes.Contains(o.Sealed, []byte("示例食品店")) {
		t.Error("it is kept in plain form")
	}
	if got, err := b.OpenOriginal(o); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q, %v", got, err)
	}
	moved := o
	moved.Identifier += "X"
	if _, err := b.OpenOriginal(moved); err == nil {
		t.Error("the bytes of one version open as those of another")
	}

	now = o.Expires
	two := newBench(t)
	two.config.Now, two.config.Storage, two.config.Sealer = b.config.Now, b.storage, b.config.Sealer
	two.open(t)
	third := func(context.Context) ([]byte, error) { made.Add(1); return []byte("another"), nil }
	ours, ourChanges, err := b.Original(t.Context(), v, make)
	theirs, theirChanges, err2 := two.Original(t.Context(), v, third)
	if err != nil || err2 != nil || ours.Digest == theirs.Digest || made.Load() != 3 {
		t.Fatalf("%v, %v, made %d times", err, err2, made.Load())
	}
	if err := b.storage.Commit(t.Context(), theirChanges...); err != nil {
		t.Fatal(err)
	}
	if err := b.storage.Commit(t.Context(), ourChanges...); !errors.Is(err, register.ErrTaken) {
		t.Errorf("the second is not told: %v", err)
	}
	again, changes, err := b.Original(t.Context(), v, make)
	if err != nil || len(changes) != 0 || again.Digest != theirs.Digest || made.Load() != 3 {
		t.Errorf("%d changes, made %d times, %v", len(changes), made.Load(), err)
	}
}

// A version that was not committed may leave its identifier to another content, and never its original.
func TestOriginalOfWhatWasNeverCommitted(t *testing.T) {
	b := newBench(t)
	v := b.release(t, company(t, 1), noon).Version
	lost, kept := v, v
	lost.Content[0]++
	if _, _, err := b.Original(t.Context(), lost, func(context.Context) ([]byte, error) { return []byte("lost"), nil }); err != nil {
		t.Fatal(err)
	}
	o, _, err := b.Original(t.Context(), kept, func(context.Context) ([]byte, error) { return []byte("kept"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.OpenOriginal(o); string(got) != "kept" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// One that cannot be made fails its callers, and is tried again.
func TestOriginalFails(t *testing.T) {
	b := newBench(t)
	v := b.release(t, company(t, 1), noon).Version
	want := errors.New("no")
	if _, _, err := b.Original(t.Context(), v, func(context.Context) ([]byte, error) { return nil, want }); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = b.Original(t.Context(), v, func(context.Context) ([]byte, error) { panic("no") })
	}()
	ended, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := b.Original(ended, v, func(context.Context) ([]byte, error) { return nil, nil }); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after a panic: %v", err) // who waited is told
	}
	if _, changes, err := b.Original(t.Context(), v, func(context.Context) ([]byte, error) { return []byte("x"), nil }); err != nil || len(changes) != 1 {
		t.Errorf("%v", err)
	}
}

// A version that lost its slot before it was committed leaves identifier and content to the next one: its original, which shows a code of the
// slot, is not the next one's.
func TestOriginalOfALostSlot(t *testing.T) {
	b := newBench(t)
	b.open(t)
	lost := b.release(t, company(t, 1), noon).Version
	next := lost
	next.Slot++
	drawn := func(v register.Version) []byte {
		o, _, err := b.Original(t.Context(), v, func(context.Context) ([]byte, error) {
			return []byte{byte(v.Slot), byte(v.Slot >> 8), byte(v.Slot >> 16)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		document, err := b.OpenOriginal(o)
		if err != nil {
			t.Fatal(err)
		}
		return document
	}
	if bytes.Equal(drawn(lost), drawn(next)) {
		t.Error("the original shows the slot that was lost")
	}
}
