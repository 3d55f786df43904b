package pkcs11

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The standard binary is one static file: it must not come to depend on what loads libraries.
func TestNotInTheBinary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "oncegate/cmd/oncegate").Output()
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(out))
	if !slices.Contains(list, "oncegate/certs/sm") {
		t.Error("this is no list of what the program depends on")
	}
	for _, name := range []string{"oncegate/certs/pkcs11", "github.com/ebitengine/purego"} {
		if slices.Contains(list, name) {
			t.Errorf("oncegate depends on %s: it would be linked dynamically", name)
		}
	}
}
