package der

import (
	"bytes"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

// A text of blocks is read whole or not at all: whatever bit of it is flipped, no block vanishes and none is taken for another.
func TestBlocks(t *testing.T) {
	want := []*pem.Block{{Type: "CERTIFICATE", Bytes: []byte("the first certificate")}, {Type: "X509 CRL", Bytes: bytes.Repeat([]byte("list "), 20)}}
	text := append(pem.EncodeToMemory(want[0]), pem.EncodeToMemory(want[1])...)
	got, err := Blocks(append([]byte("Subject: somebody\n"), text...))
	if err != nil || len(got) != 2 || got[0].Type != want[0].Type || !bytes.Equal(got[1].Bytes, want[1].Bytes) {
		t.Fatalf("%v %v", got, err)
	}
	if list, err := Blocks([]byte("no PEM at all")); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	for at := range text {
		for bit := range 8 {
			changed := bytes.Clone(text)
			changed[at] ^= 1 << bit
			list, err := Blocks(changed)
			if err != nil {
				if !errors.Is(err, ErrPEM) {
					t.Fatal(err)
				}
				continue
			}
			space := strings.ContainsRune(" \n", rune(changed[at])) && strings.ContainsRune(" \n", rune(text[at]))
			if len(list) != 2 || !space && bytes.Equal(list[0].Bytes, want[0].Bytes) && bytes.Equal(list[1].Bytes, want[1].Bytes) && list[0].Type+list[1].Type == want[0].Type+want[1].Type {
				t.Fatalf("byte %d (%q to %q): %d blocks and no error", at, text[at], changed[at], len(list))
			}
		}
	}
	one := pem.EncodeToMemory(want[0])
	if b, err := Block(append([]byte("\n\n"), one...), "CERTIFICATE"); err != nil || !bytes.Equal(b, want[0].Bytes) {
		t.Errorf("%q %v", b, err)
	}
	for name, text := range map[string][]byte{
		"two blocks": text, "another label": pem.EncodeToMemory(want[1]), "text before": append([]byte("x\n"), one...), "text behind": append(bytes.Clone(one), "x"...),
	} {
		if _, err := Block(text, "CERTIFICATE"); err == nil {
			t.Errorf("%s was taken for one block", name)
		}
	}
}
