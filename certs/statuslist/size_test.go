package statuslist_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"oncegate/certs/sm"
	"oncegate/certs/statuslist"
)

// filled is a list of two bits whose share of entries is not valid, at places that follow from a seed.
func filled(t testing.TB, size, off int, statuses ...int) *statuslist.List {
	t.Helper()
	l, err := statuslist.New(2, size)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, uint64(size)))
	for n := 0; n < off; {
		i := r.IntN(size)
		if was, err := l.Get(i); err != nil || was != statuslist.Valid {
			continue
		}
		if err := l.Set(i, statuses[n%len(statuses)]); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return l
}

// A list of a million licenses of which one in a hundred is revoked takes 15 KB (15,000 bytes) before base64url, wherever they
// stand; one with so much room besides that slots are still found at random, 15 KiB.
func TestMillion(t *testing.T) {
	const licenses = 1_000_000
	for size, limit := range map[int]int{licenses: 15_000, 1 << 20: 15_000, licenses * 10 / 7: 15 << 10} {
		lst := filled(t, size, licenses/100, statuslist.Invalid).Encode()
		packed, err := sm.ParseB64(lst)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d slots, 1 %% of %d revoked: %d bytes, %d in base64url", size, licenses, len(packed), len(lst))
		if len(packed) > limit {
			t.Errorf("%d slots take %d bytes, limit %d", size, len(packed), limit)
		}
	}
	mixed, err := sm.ParseB64(filled(t, licenses, licenses/100, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3).Encode())
	t.Logf("70 %% of them revoked, 20 %% suspended, 10 %% superseded: %d bytes, %v", len(mixed), err)
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{1 << 17, 1_000_000} {
		l := filled(b, size, size/100, statuslist.Invalid)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				l.Encode()
			}
		})
	}
}
