package node

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	here := runtime.GOOS + "/" + runtime.GOARCH
	for _, test := range []struct {
		info *debug.BuildInfo
		want Build
	}{
		{nil, Build{Version: "(devel)", Go: runtime.Version(), Platform: here}},
		{&debug.BuildInfo{GoVersion: "go1.99"}, Build{Version: "(devel)", Go: "go1.99", Platform: here}},
		{&debug.BuildInfo{GoVersion: "go1.99", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.time", Value: "2026-12-01T02:03:04Z"}, {Key: "vcs.modified", Value: "true"},
		}}, Build{Version: "v1.2.3", Commit: "c0ffee", Time: time.Date(2026, 12, 1, 2, 3, 4, 0, time.UTC), Modified: true, Go: "go1.99", Platform: here}},
	} {
		if got := buildOf(test.info); got != test.want {
			t.Errorf("%+v, want %+v", got, test.want)
		}
	}
}

// What runs stands in the log's first lines and among the metrics: whoever reads either need not ask.
func TestBuildIsShown(t *testing.T) {
	t.Parallel()
	s := newCity(t).serve()
	b := ReadBuild()
	if _, text := s.get("/metrics"); !strings.Contains(text, `oncegate_build_info{commit="`+b.Commit+`",go="`+b.Go+`",platform="`+b.Platform+`",version="`+b.Version+`"} 1`) {
		t.Error("the metrics do not say which program runs")
	}
	if text := s.logs.String(); !strings.Contains(text, "version="+b.Version) {
		t.Errorf("the log does not say which program runs: %s", text)
	}
}
