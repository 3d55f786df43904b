package tlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oncegate/tlog"
)

const zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// wellFormed is a checkpoint whose signatures prove nothing.
const wellFormed = "log.example/a\n42\n" + zeros + "\nsm3-root " + zeros + "\n\n— log.example/a AAAAAAA=\n— log.example/a AQAAAAA=\n"

func TestParseCheckpoint(t *testing.T) {
	c, err := tlog.ParseCheckpoint(wellFormed)
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != "log.example/a" || c.Size != 42 {
		t.Errorf("checkpoint is %+v", c)
	}
	if text, _, _ := strings.Cut(wellFormed, "\n\n"); c.Text() != text+"\n" {
		t.Errorf("text is %q", c.Text())
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(wellFormed, old, new, 1) }
	for name, signed := range map[string]string{
		"empty":                   "",
		"SM3 root without name":   replace("sm3-root ", ""),
		"no signature":            replace("— log.example/a AAAAAAA=\n— log.example/a AQAAAAA=\n", ""),
		"no blank line":           replace("\n\n", "\n"),
		"two blank lines":         replace("\n\n", "\n\n\n"),
		"no end of line":          strings.TrimSuffix(wellFormed, "\n"),
		"carriage return":         replace("42\n", "42\r\n"),
		"origin with space":       replace("log.example/a\n", "log example\n"),
		"origin with plus":        replace("log.example/a\n", "log+a\n"),
		"origin not UTF-8":        replace("log.example/a\n", "log\xff\n"),
		"no origin":               replace("log.example/a\n", "\n"),
		"leading zero":            replace("\n42\n", "\n042\n"),
		"plus sign":               replace("\n42\n", "\n+42\n"),
		"negative":                replace("\n42\n", "\n-42\n"),
		"size beyond I-JSON":      replace("\n42\n", "\n9007199254740992\n"),
		"short root":              replace(zeros, "AAAA"),
		"unpadded root":           replace(zeros+"\nsm3", strings.TrimSuffix(zeros, "=")+"\nsm3"),
		"stray bits in root":      replace(zeros, strings.Replace(zeros, "A=", "B=", 1)),
		"no SM3 line":             replace("sm3-root "+zeros+"\n", ""),
		"other extension":         replace("sm3-root ", "md5-root "),
		"upper case":              replace("sm3-root", "SM3-root"),
		"two spaces":              replace("sm3-root ", "sm3-root  "),
		"second extension":        replace("\n\n", "\nmore\n\n"),
		"SM3 line twice":          replace("\n\n", "\nsm3-root "+zeros+"\n\n"),
		"signature without dash":  replace("— ", "- "),
		"signature after nothing": replace("— ", ""),
		"signature of no key":     replace("— log.example/a ", "— log+a "),
		"signature without name":  replace("— log.example/a ", "— "),
		"signature of four bytes": replace("AQAAAAA=", "AQAAAA=="),
		"bytes after signatures":  wellFormed + "x",
		"blank line at the end":   wellFormed + "\n",
		"too long":                wellFormed + strings.Repeat("— log.example/a AAAAAAA=\n", 1000),
	} {
		if _, err := tlog.ParseCheckpoint(signed); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(wellFormed)
	f.Add("log\n0\n" + zeros + "\nsm3-root " + zeros + "\n\n— 日志 //////8=\n")
	f.Fuzz(func(t *testing.T, signed string) {
		c, err := tlog.ParseCheckpoint(signed)
		if err != nil {
			return
		}
		if !strings.HasPrefix(signed, c.Text()+"\n") {
			t.Errorf("text %q is not that of %q", c.Text(), signed)
		}
	})
}

// sample is a receipt of every member's right form, from a real log.
func sample(t testing.TB) (bench, tlog.Receipt, string) {
	t.Helper()
	b := newBench(t)
	r := b.add(t, 7)
	text, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return b, r, string(text)
}

func TestReceiptJSON(t *testing.T) {
	_, r, text := sample(t)
	got, err := tlog.ParseReceipt([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Error(diff)
	}
	var wire struct {
		Record     string
		Index      int
		Proofs     map[string][]string
		Checkpoint string
	}
	if err := json.Unmarshal([]byte(text), &wire); err != nil {
		t.Fatal(err)
	}
	if wire.Record != "bGVhZiA2" || wire.Index != 6 || wire.Checkpoint != r.Checkpoint ||
		len(wire.Proofs) != 2 || len(wire.Proofs["sm3"]) != 2 || len(wire.Proofs["sha256"]) != 2 {
		t.Errorf("receipt is %s", text)
	}
	if len(wire.Proofs["sm3"][0]) != 44 {
		t.Errorf("proof hash is %q", wire.Proofs["sm3"][0])
	}
	// Embedded in another document, with either JSON package.
	var answer struct{ Receipt tlog.Receipt }
	if err := json.Unmarshal([]byte(`{"Receipt":`+text+`}`), &answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, answer.Receipt); diff != "" {
		t.Error(diff)
	}
}

// TestFirstReceipt: proofs in a tree of one leaf are empty lists, not null.
func TestFirstReceipt(t *testing.T) {
	b := newBench(t)
	text, err := b.add(t, 1).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(`"proofs":{"sm3":[],"sha256":[]}`)) {
		t.Errorf("receipt is %s", text)
	}
	r, err := tlog.ParseReceipt(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil {
		t.Error(err)
	}
}

func TestParseReceiptRefuses(t *testing.T) {
	_, _, text := sample(t)
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("sample has no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	// cut takes what a pattern matches out of the sample, or puts something in its place: nothing else is wrong with what is left.
	cut := func(pattern, put string) string {
		at := regexp.MustCompile(pattern).FindStringIndex(text)
		if at == nil {
			t.Fatalf("sample has no %s", pattern)
		}
		return text[:at[0]] + put + text[at[1]:]
	}
	for name, bad := range map[string]string{
		"empty":               "",
		"null":                "null",
		"list":                "[]",
		"cut short":           text[:len(text)-1],
		"more after it":       text + "{}",
		"unknown member":      replace(`"index"`, `"extra":1,"index"`),
		"unknown proof":       replace(`"sha256":[`, `"md5":[],"sha256":[`),
		"duplicate member":    replace(`"index"`, `"index":6,"index"`),
		"other case":          replace(`"index"`, `"Index"`),
		"no record":           replace(`"record":"bGVhZiA2",`, ``),
		"null record":         replace(`"bGVhZiA2"`, `null`),
		"empty record":        replace(`"bGVhZiA2"`, `""`),
		"padded record":       replace(`"bGVhZiA2"`, `"bGVhZg=="`),
		"newline in record":   replace(`"bGVhZiA2"`, `"bGVh\nZiA2"`),
		"standard alphabet":   replace(`"bGVhZiA2"`, `"+/+/"`),
		"no index":            replace(`"index":6,`, ``),
		"negative index":      replace(`"index":6`, `"index":-1`),
		"fraction":            replace(`"index":6`, `"index":6.0`),
		"exponent":            replace(`"index":6`, `"index":6e0`),
		"index as text":       replace(`"index":6`, `"index":"6"`),
		"index beyond I-JSON": replace(`"index":6`, `"index":9007199254740991`),
		"no proofs":           cut(`"proofs":\{[^}]*\},`, ``),
		"null proofs":         cut(`\{"sm3"[^}]*\}`, `null`),
		"null SM3 proof":      cut(`"sm3":\[[^]]*\]`, `"sm3":null`),
		"no SM3 proof":        cut(`"sm3":\[[^]]*\],`, ``),
		"null SHA-256 proof":  cut(`"sha256":\[[^]]*\]`, `"sha256":null`),
		"no SHA-256 proof":    cut(`,"sha256":\[[^]]*\]`, ``),
		"no checkpoint":       cut(`,"checkpoint":"[^"]*"`, ``),
		"null checkpoint":     cut(`"checkpoint":"[^"]*"`, `"checkpoint":null`),
		"null hash":           replace(`"sm3":["`, `"sm3":[null,"`),
		"short hash":          replace(`"sm3":["`, `"sm3":["AAAA","`),
		"endless proof":       replace(`"sm3":["`, `"sm3":[`+strings.Repeat(`"`+zeros+`",`, 70)+`"`),
		"malformed note":      replace(`sm3-root`, `md5-root`),
		"long record":         replace(`"bGVhZiA2"`, `"`+strings.Repeat("AAAA", tlog.MaxLeaf/3+1)+`"`),
		"long":                text + strings.Repeat(" ", tlog.MaxReceipt),
	} {
		if _, err := tlog.ParseReceipt([]byte(bad)); !errors.Is(err, tlog.ErrReceipt) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// What is no receipt leaves the one that was there as it is.
func TestReceiptStays(t *testing.T) {
	_, r, text := sample(t)
	got := r
	if err := got.UnmarshalJSON([]byte(strings.Replace(text, `"index"`, `"Index"`, 1))); !errors.Is(err, tlog.ErrReceipt) {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseReceipt(f *testing.F) {
	b, _, text := sample(f)
	f.Add([]byte(text))
	f.Add([]byte(`{"record":"YQ","index":0,"proofs":{"sm3":[],"sha256":[]},"checkpoint":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := tlog.ParseReceipt(data)
		if err != nil {
			return
		}
		tlog.VerifyReceipt(r, b.keys.Trust) // must not panic
		again, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		same, err := tlog.ParseReceipt(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, same, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
