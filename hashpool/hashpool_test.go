package hashpool

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"testing"
)

func TestSum(t *testing.T) {
	key := []byte("key")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("ab"))
	plain, keyed := New(sha256.New), NewHMAC(sha256.New, key)
	want := [Size]byte(mac.Sum(nil))

	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 { // states are used again
				if plain.Sum([]byte("a"), []byte("b")) != sha256.Sum256([]byte("ab")) || plain.Sum() != sha256.Sum256(nil) {
					t.Error("a hash is wrong")
				}
				if keyed.Sum([]byte("ab")) != want {
					t.Error("an HMAC is wrong")
				}
			}
		})
	}
	all.Wait()

	b := append(make([]byte, 0, 64), "ab"...)
	sum := sha256.Sum256([]byte("ab"))
	if got := plain.Append(b[:0], b); string(got) != string(sum[:]) {
		t.Error("a sum over what it overwrites is wrong")
	}
	if n := testing.AllocsPerRun(100, func() { plain.Sum(b) }); n > 0 {
		t.Errorf("a sum allocates %v times", n)
	}
}
