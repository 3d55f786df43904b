package register

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oncegate/license"
)

func claimsAt(paths ...string) (claims []license.Claim) {
	for _, path := range paths {
		claims = append(claims, license.Claim{Path: path})
	}
	return claims
}

// TestDisclosuresAge proves that an entry goes by its age, whether it is asked for all the time or nobody asks at all.
func TestDisclosuresAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disclosures
		of := signedContent{"a", [32]byte{1}}
		for range 3 { // the timer is set again when the cache was empty
			time.Sleep(disclosureLife / 5)
			d.keep(of, claimsAt("number"), []string{"text"})
			for range 29 {
				if texts, ok := d.find(of, claimsAt("number")); !ok || texts[0] != "text" {
					t.Fatalf("found %q, %t, within half its life", texts, ok)
				}
				time.Sleep(time.Second)
			}
			time.Sleep(disclosureLife)
			synctest.Wait()
			if d.young != nil || d.old != nil || d.rotating {
				t.Fatal("something is kept after its life")
			}
		}
	})
}

// TestDisclosuresOfReplaced proves that the timer keeps no cache alive whose register is gone: each reload makes a register anew.
func TestDisclosuresOfReplaced(t *testing.T) {
	gone := make(chan struct{})
	d := new(disclosures)
	runtime.AddCleanup(d, func(gone chan struct{}) { close(gone) }, gone)
	d.keep(signedContent{"a", [32]byte{1}}, claimsAt("number"), []string{"text"})
	d = nil
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the cache of a register that is gone is still in memory")
}

// TestDisclosuresKey proves that nothing is found under another version, content or path, or where one of several is missing.
func TestDisclosuresKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disclosures
		d.keep(signedContent{"a", [32]byte{1}}, claimsAt("number", "holder_name.0"), []string{"1", "2"})
		for name, find := range map[string]struct {
			of    signedContent
			paths []string
		}{
			"another version":     {signedContent{"b", [32]byte{1}}, []string{"number"}},
			"another content":     {signedContent{"a", [32]byte{2}}, []string{"number"}},
			"another path":        {signedContent{"a", [32]byte{1}}, []string{"holder_name.1"}},
			"one path too many":   {signedContent{"a", [32]byte{1}}, []string{"number", "issued"}},
			"one path of nothing": {signedContent{}, []string{""}},
		} {
			if texts, ok := d.find(find.of, claimsAt(find.paths...)); ok {
				t.Errorf("%s: found %q", name, texts)
			}
		}
	})
}

// TestDisclosuresBound fills the cache from many goroutines: it never takes more than it may, and never returns another's text.
func TestDisclosuresBound(t *testing.T) {
	var d disclosures
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 4000 {
				of := signedContent{fmt.Sprint(g, "-", i), [32]byte{byte(g)}}
				text := of.identifier + strings.Repeat(".", 2000)
				d.keep(of, claimsAt("scope"), []string{text})
				if texts, ok := d.find(of, claimsAt("scope")); ok && texts[0] != text {
					t.Error("another's text")
				}
			}
		})
	}
	all.Wait()
	d.keep(signedContent{}, claimsAt("scope"), []string{strings.Repeat("x", maxDisclosures)}) // is left out
	held := 0
	for _, generation := range []map[disclosure]string{d.young, d.old} {
		for _, text := range generation {
			held += len(text) + disclosureCost
		}
	}
	if held > maxDisclosures || held < maxDisclosures/4 {
		t.Errorf("%d bytes are kept, of %d", held, maxDisclosures)
	}
}
