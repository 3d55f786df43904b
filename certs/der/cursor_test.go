package der_test

import (
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"pgregory.net/rapid"

	"oncegate/certs/der"
)

// Our reader of times agrees with the library's on every time, and accepts nothing that the library refuses.
func TestReadTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Unix(rapid.Int64Range(-600_000_000, 250_000_000_000).Draw(rt, "seconds"), 0).UTC()
		var b cryptobyte.Builder
		if at.Year() >= 1950 && at.Year() < 2050 && rapid.Bool().Draw(rt, "utc") {
			b.AddASN1UTCTime(at)
		} else {
			b.AddASN1GeneralizedTime(at)
		}
		in := der.Read(b.BytesOrPanic(), der.ErrNotDER)
		if got := in.Time("time"); in.Err() != nil || !got.Equal(at) {
			rt.Fatalf("%v: %v, %v", at, got, in.Err())
		}
	})
	for text, label := range map[string]der.Tag{
		"260230000000Z": der.UTCTime, "2601010000Z": der.UTCTime, "260101000000+0800": der.UTCTime, "260101240000Z": der.UTCTime,
		"2601010000 0Z": der.UTCTime, "20260101000000.5Z": der.GeneralizedTime, "20261301000000Z": der.GeneralizedTime, "": der.UTCTime,
		"260101000060Z": der.UTCTime, "260100000000Z": der.UTCTime, "20260101000000": der.GeneralizedTime,
	} {
		var b cryptobyte.Builder
		b.AddASN1(label, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
		in := der.Read(b.BytesOrPanic(), der.ErrNotDER)
		if got := in.Time("time"); in.Err() == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
