package node

import (
	"path/filepath"
	"testing"
	"time"

	"oncegate/deploy"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	if err := deploy.WriteCity(dir); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "oncegate.yaml")
	s, faults := Load(main, time.Now())
	for _, f := range faults {
		t.Log(f.Warning, f)
	}
	_ = s
	start := time.Now()
	p, err := Prepare(t.Context(), main, PrepareOptions{Cost: 10})
	t.Log(time.Since(start))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.Made {
		t.Log(m)
	}
}
