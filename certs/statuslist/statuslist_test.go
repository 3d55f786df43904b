package statuslist_test

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"oncegate/certs/certstest"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/statuslist"
)

// The draft's own vectors: long lists by their non-zero entries, short ones byte by byte.
func TestVectors(t *testing.T) {
	var v struct {
		Vectors []struct {
			Name          string
			Bits, Entries int
			Lst           string
			Hex           string `json:"bytes_hex"`
			Nonzero       map[string]int
		}
	}
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Vectors) != 6 {
		t.Fatalf("%d vectors", len(v.Vectors))
	}
	for _, c := range v.Vectors {
		l, err := statuslist.Decode(c.Bits, c.Lst)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if c.Hex != "" {
			if got := hex.EncodeToString(l.Bytes()); got != c.Hex {
				t.Errorf("%s: %s", c.Name, got)
			}
			continue
		}
		if l.Size() != c.Entries {
			t.Errorf("%s: %d entries", c.Name, l.Size())
		}
		made, err := statuslist.New(c.Bits, c.Entries)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.Nonzero {
			index, _ := strconv.Atoi(i)
			if err := made.Set(index, want); err != nil {
				t.Fatal(err)
			}
			if got, err := l.Get(index); err != nil || got != want {
				t.Errorf("%s[%s] = %d, %v", c.Name, i, got, err)
			}
		}
		if !bytes.Equal(made.Bytes(), l.Bytes()) {
			t.Errorf("%s: made from its entries, the list differs", c.Name)
		}
	}
}

func TestListLikeASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SampledFrom([]int{1, 2, 4, 8}).Draw(t, "bits")
		size := rapid.IntRange(1, 300).Draw(t, "size")
		l, err := statuslist.New(bits, size)
		if err != nil {
			t.Fatal(err)
		}
		model := make([]int, l.Size())
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			i := rapid.IntRange(0, l.Size()-1).Draw(t, "index")
			model[i] = rapid.IntRange(0, 1<<bits-1).Draw(t, "status")
			if err := l.Set(i, model[i]); err != nil {
				t.Fatal(err)
			}
		}
		back, err := statuslist.Decode(bits, l.Encode())
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range model {
			if got, err := back.Get(i); err != nil || got != want {
				t.Fatalf("[%d] = %d, %v, want %d", i, got, err, want)
			}
		}
	})
}

func TestListRefuses(t *testing.T) {
	l, err := statuslist.New(2, 4)
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, bits := range []int{0, 3, 16, -1} {
		_, err := statuslist.New(bits, 8)
		errs = append(errs, err)
	}
	_, e1 := statuslist.New(1, 0)
	_, e2 := statuslist.New(1, statuslist.MaxBytes*8+1)
	_, e3 := l.Get(4)
	_, e4 := l.Get(-1)
	errs = append(errs, e1, e2, e3, e4, l.Set(0, 4), l.Set(0, -1), l.Set(4, 0))
	var bomb bytes.Buffer
	z := zlib.NewWriter(&bomb)
	z.Write(make([]byte, 64<<20))
	z.Close()
	for _, lst := range []string{"", "AAAA", "eNrbuRgAAhcBXQ==", l.Encode()[:5], sm.B64(bomb.Bytes())} {
		_, err := statuslist.Decode(2, lst)
		errs = append(errs, err)
	}
	packed, _ := sm.ParseB64(l.Encode())
	_, e5 := statuslist.Decode(2, sm.B64(append(packed, 0)))
	_, e6 := statuslist.Decode(3, l.Encode())
	for i, err := range append(errs, e5, e6) {
		if !errors.Is(err, statuslist.ErrForm) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestToken(t *testing.T) {
	const uri = "https://gate.example.gov.cn/status-lists/7"
	now := certstest.Epoch
	s := certstest.New(t, "status").Signer("status-1")
	check := func(p *jws.Parts) error { return p.Verify(s.Public(), nil) }
	list, _ := statuslist.New(2, 1000)
	list.Set(77, statuslist.Suspended)
	full := statuslist.Token{Subject: uri, IssuedAt: now, Expires: now.Add(time.Hour), TTL: 5 * time.Minute, List: list}
	compact, err := statuslist.Sign(t.Context(), s, jws.Header{Kid: s.KeyID()}, full)
	if err != nil {
		t.Fatal(err)
	}
	got, err := statuslist.Verify(compact, uri, now, check)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := got.List.Get(77); err != nil || status != statuslist.Suspended || got.TTL != full.TTL ||
		!got.Expires.Equal(full.Expires) || got.Header.Kid != "status-1" || got.Header.Typ != statuslist.Type {
		t.Errorf("%+v, %v", got, err)
	}
	never := full
	never.Expires, never.TTL = time.Time{}, 0
	forever, err := statuslist.Sign(t.Context(), s, jws.Header{}, never)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statuslist.Verify(forever, uri, now.AddDate(9, 0, 0), check); err != nil {
		t.Error(err)
	}
	raw := func(h jws.Header, payload string) string {
		compact, err := jws.Sign(t.Context(), s, h, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	typ := jws.Header{Typ: statuslist.Type}
	for name, c := range map[string]struct {
		compact, uri string
		at           time.Time
		err          error
	}{
		"another list": {compact, uri + "1", now, statuslist.ErrSubject},
		"expired":      {compact, uri, now.Add(time.Hour), statuslist.ErrExpired},
		"future":       {compact, uri, now.Add(-time.Hour), statuslist.ErrNotYet},
		"changed":      {compact[:len(compact)-90] + "AA" + compact[len(compact)-88:], uri, now, statuslist.ErrSignature},
		"typ":          {raw(jws.Header{Typ: "JWT"}, "{}"), uri, now, statuslist.ErrToken},
		"no claims":    {raw(typ, "{}"), uri, now, statuslist.ErrToken},
		"sub twice":    {raw(typ, `{"sub":"a","sub":"b","iat":1}`), uri, now, statuslist.ErrToken},
		"bits":         {raw(typ, `{"sub":"`+uri+`","iat":1,"status_list":{"bits":3,"lst":"eNrbuRgAAhcBXQ"}}`), uri, now, statuslist.ErrForm},
		"huge ttl":     {raw(typ, `{"sub":"`+uri+`","iat":1,"ttl":9223372036854775807}`), uri, now, statuslist.ErrToken},
		"text":         {"x", uri, now, statuslist.ErrToken},
	} {
		if _, err := statuslist.Verify(c.compact, c.uri, c.at, check); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if _, err := statuslist.Sign(t.Context(), s, jws.Header{}, statuslist.Token{}); !errors.Is(err, statuslist.ErrToken) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(1, "eNrbuRgAAhcBXQ")
	f.Add(2, "eNo76fITAAPfAgc")
	f.Fuzz(func(t *testing.T, bits int, lst string) {
		l, err := statuslist.Decode(bits, lst)
		if err != nil {
			return
		}
		if back, err := statuslist.Decode(bits, l.Encode()); err != nil || !bytes.Equal(back.Bytes(), l.Bytes()) {
			t.Fatal(err)
		}
	})
}
