package node

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"time"
)

// A Build says which program runs: what the Go toolchain wrote into it (debug.ReadBuildInfo), so that nobody has to keep a number by hand.
type Build struct {
	Version  string    `json:"version"`           // the tag, or a pseudo-version of the commit; "(devel)" if built outside of a repository
	Commit   string    `json:"commit,omitzero"`   // full hash
	Time     time.Time `json:"time,omitzero"`     // of the commit
	Modified bool      `json:"modified,omitzero"` // built from files that differ from the commit
	Go       string    `json:"go"`                // the toolchain's version
	Platform string    `json:"platform"`          // GOOS/GOARCH
}

// ReadBuild says which program this is.
func ReadBuild() Build {
	info, _ := debug.ReadBuildInfo() // nil in a program that was not built as a module
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) Build {
	b := Build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	b.Version, b.Go = cmp.Or(info.Main.Version, b.Version), cmp.Or(info.GoVersion, b.Go)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time, _ = time.Parse(time.RFC3339, s.Value) // the toolchain writes it so
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
