package verdict

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"
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
