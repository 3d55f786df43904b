package verdict

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"oncegate/certs/sm"
)

func zipped(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		out, err := w.Create(f[0])
		if err == nil {
			_, err = out.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A bundle is taken apart; what is no bundle, what is hostile and what is damaged is not.
func TestUnpack(t *testing.T) {
	two := zipped(t, [2]string{"record-1.receipt.json", "{}"}, [2]string{"record-1.checkpoint", "log"})
	parts, is, err := Unpack(Artefact{Name: "b.zip", Data: two})
	if !is || err != nil || len(parts) != 2 || parts[1].Name != "b.zip/record-1.checkpoint" || string(parts[1].Data) != "log" {
		t.Fatalf("a bundle: %v %v %v", parts, is, err)
	}
	many := make([][2]string, maxParts+1)
	for i := range many {
		many[i] = [2]string{fmt.Sprintf("f%d", i), "x"}
	}
	for name, data := range map[string][]byte{
		"json": []byte(`{"answer":{}}`), "ofd": zipped(t, [2]string{"OFD.xml", "<OFD/>"}), "cut off": two[:len(two)-30], "none": nil, "a folder": zipped(t, [2]string{"x/y", "z"}), "up": zipped(t, [2]string{"../y", "z"}), "escape": zipped(t, [2]string{"\x1b[2J", "z"}), "many": zipped(t, many...),
	} {
		if _, is, err := Unpack(Artefact{Name: name, Data: data}); is || err != nil {
			t.Errorf("%s: %v %v", name, is, err)
		}
	}
	sum := func(text string) string { d := sm.Digest([]byte(text)); return hex.EncodeToString(d[:]) }
	b64 := func(text string) string {
		d := sm.Digest([]byte(text))
		return base64.RawURLEncoding.EncodeToString(d[:])
	}
	upload, other := "%PDF-1.7 lease", "%PDF-1.7 other"
	answer := `{"answer":{"filed":{"file":{"sm3":"` + b64(upload) + `"}}}}`
	index := `{"digest":{"sm3":"` + b64(other) + `"}}`
	list := func(files ...string) (out string) {
		for i := 0; i < len(files); i += 2 {
			out += sum(files[i+1]) + "  " + files[i] + "\n"
		}
		return out
	}
	file := func(sums string, files ...string) []byte {
		all := [][2]string{{"SM3SUMS", sums}}
		for i := 0; i < len(files); i += 2 {
			all = append(all, [2]string{files[i], files[i+1]})
		}
		return zipped(t, all...)
	}
	whole := []string{"1.pdf", upload, "2.pdf", other, "3.json", answer, "index.json", index}
	parts, _, err = Unpack(Artefact{Name: "f", Data: file(list(whole...), whole...)})
	if err != nil || len(parts) != 2 || parts[0].Name != "f/2.pdf" || parts[1].Name != "f/3.json" { // an upload that only the index has is not proven by it
		t.Errorf("a case's file: %+v %v", parts, err)
	}
	for name, sums := range map[string]string{
		"one digest is another's": strings.Replace(list(whole...), sum(upload), sum(other), 1), "one is not listed": list(whole[:6]...), "one is missing": list(append(whole, "4.pdf", "x")...),
		"twice": list(append(whole, "1.pdf", upload)...), "no list": "x",
	} {
		if parts, is, err := Unpack(Artefact{Name: "f", Data: file(sums, whole...)}); !is || err == nil || parts != nil {
			t.Errorf("%s: %v %v", name, is, err)
		}
	}
	flipped := bytes.Clone(zipped(t, [2]string{"a", strings.Repeat("long enough to be packed ", 50)}))
	flipped[40] ^= 0x55
	bomb := strings.Repeat("\x00", MaxArtefact+1)
	for name, data := range map[string][]byte{
		"twice":  zipped(t, [2]string{"a", "1"}, [2]string{"a", "2"}),
		"a bomb": zipped(t, [2]string{"a", bomb}), "damaged": flipped,
	} {
		if parts, is, err := Unpack(Artefact{Name: name, Data: data}); !is || err == nil || parts != nil {
			t.Errorf("%s: %d parts, %v %v", name, len(parts), is, err)
		}
	}
}
