package certs_test

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"testing"

	fast "github.com/emmansun/gmsm/sm2"
	other "github.com/tjfoc/gmsm/sm2"

	"github.com/google/go-cmp/cmp"

	"oncegate/certs/sm"
)

// TestNegativeVectorsCatch: the vectors find what they are for. Each verifier here is wrong in a way seen elsewhere; the
// flags of the tests that it gets wrong are exactly those.
func TestNegativeVectorsCatch(t *testing.T) {
	always := func(verdict bool) func(given) bool { return func(given) bool { return verdict } }
	for name, c := range map[string]struct {
		verify func(given) bool
		missed []string
	}{
		"the house":       {func(in given) bool { return in.judge(sm.VerifyAs) == "valid" }, nil},
		"refuses all":     {always(false), []string{"Control", "EdgeKey"}},
		"accepts all":     {always(true), flagsBut("Control", "EdgeKey")},
		"tjfoc by itself": {tjfocAlone, []string{"Infinity", "Trailing", "TrailingInside"}},
		"gmsm by itself":  {gmsmAlone, nil},
		"another reader":  {loose, []string{"Trailing", "Compressed", "Hybrid"}},
		"reduces mod n":   {reduces, []string{"Equivalent", "Negative"}},
	} {
		t.Run(name, func(t *testing.T) {
			missed := make(map[string]bool)
			files, err := filepath.Glob(folder + "/*.json")
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range files {
				for _, g := range read(t, path).TestGroups {
					for _, v := range g.Tests {
						if c.verify(input(t, g, v)) != (v.Result == "valid") {
							missed[v.Flags[0]] = true
						}
					}
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(missed)), slices.Sorted(slices.Values(c.missed))); diff != "" {
				t.Errorf("misses (-) and should miss (+):\n%s", diff)
			}
		})
	}
}

func flagsBut(but ...string) (list []string) {
	for f := range notes {
		if !slices.Contains(but, f) {
			list = append(list, f)
		}
	}
	return list
}

// tjfocAlone gives that library what it gets, DER and all. It never sees a user id of the wrong length.
func tjfocAlone(in given) (ok bool) {
	pub, err := sm.ParsePoint(in.key)
	if err != nil {
		return false
	}
	key := &other.PublicKey{Curve: other.P256Sm2(), X: pub.X, Y: pub.Y}
	if !in.der {
		return len(in.sig) == 64 && other.Sm2Verify(key, in.msg, in.userID, new(big.Int).SetBytes(in.sig[:32]), new(big.Int).SetBytes(in.sig[32:]))
	}
	if string(in.userID) == sm.UserID {
		return key.Verify(in.msg, in.sig)
	}
	return in.judge(sm.VerifyAs) == "valid"
}

// gmsmAlone is the fast library with its own reader of DER.
func gmsmAlone(in given) bool {
	pub, err := sm.ParsePoint(in.key)
	if err != nil || !in.der {
		return in.judge(sm.VerifyAs) == "valid"
	}
	return fast.VerifyASN1WithSM2(pub, in.userID, in.msg, in.sig)
}

// loose takes compressed and hybrid points and whatever follows the SEQUENCE.
func loose(in given) bool {
	if len(in.key) == 33 && in.key[0]|1 == 3 || len(in.key) == 65 && in.key[0]|1 == 7 {
		if x := new(big.Int).SetBytes(in.key[1:33]); x.Cmp(prime) < 0 {
			in.key = rootOf(x, in.key[0]&1)
		}
	}
	var p struct{ R, S *big.Int }
	if in.der {
		if rest, err := asn1.Unmarshal(in.sig, &p); err == nil {
			in.sig = in.sig[:len(in.sig)-len(rest)]
		}
	}
	return in.judge(sm.VerifyAs) == "valid"
}

func rootOf(x *big.Int, odd byte) []byte {
	v := new(big.Int).Exp(x, num(3), prime)
	v.Sub(v, mul(x, 3)).Add(v, curve.Params().B).Mod(v, prime)
	y := new(big.Int).ModSqrt(v, prime)
	if y == nil {
		return nil
	}
	if byte(y.Bit(0)) != odd {
		y.Sub(prime, y)
	}
	return sm.MarshalPoint(&ecdsa.PublicKey{Curve: curve, X: x, Y: y})
}

// reduces takes every number modulo n before it looks at it.
func reduces(in given) bool {
	var p struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(in.sig, &p); in.der && err == nil && len(rest) == 0 {
		if again, err := asn1.Marshal(p); err == nil && string(again) == string(in.sig) {
			in.der, in.sig = false, pair{p.R.Mod(p.R, order), p.S.Mod(p.S, order)}.raw()
		}
	}
	return in.judge(sm.VerifyAs) == "valid"
}
