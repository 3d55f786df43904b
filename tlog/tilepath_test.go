package tlog

import (
	"strings"
	"testing"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]tileName{
		"tile/0/000":                           {index: 0, width: 256},
		"tile/0/067":                           {index: 67, width: 256},
		"tile/1/x001/234":                      {level: 1, index: 1234, width: 256},
		"tile/2/x001/x234/067":                 {level: 2, index: 1234067, width: 256},
		"tile/0/x001/x234/067.p/8":             {index: 1234067, width: 8},
		"tile/6/000.p/255":                     {level: 6, index: 0, width: 255},
		"tile/entries/000.p/1":                 {entries: true, index: 0, width: 1},
		"tile/entries/x035/x184/x372/x088/831": {entries: true, index: 35184372088831, width: 256},
	} {
		got, err := parseTilePath(path)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
		if want.String() != path {
			t.Errorf("%+v is written %s", want, want)
		}
	}
}

func TestTilePathRefuses(t *testing.T) {
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile//000", "tile/00/000", "tile/-1/000", "tile/+1/000", "tile/7/000",
		"tile/64/000", "tile/8/0/000", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000", "tile/0/x000/000", "tile/0/x000/067",
		"tile/0/001/234", "tile/0/x1/234", "tile/0/x001/x234", "tile/0/xx01/234", "tile/0/x001//234", "tile/0/000/", "tile/0/+01",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/1/2",
		"tile/0/000.p/1.p/1", "tile/data/000", "tile/entries", "tile/Entries/000", "tile/0/０００", "tile/0/000\n",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/0/x035/x184/x372/x088/832", "tile/0/000?x", "tile/0/" + strings.Repeat("x000/", 20) + "000",
	} {
		if got, err := parseTilePath(path); err == nil {
			t.Errorf("%q was read as %+v", path, got)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, seed := range []string{"tile/0/x001/x234/067.p/8", "tile/entries/000", "tile/6/x999/000", "tile/0/x18446744073709551/615"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := parseTilePath(path)
		if err != nil {
			return
		}
		if name.String() != path {
			t.Errorf("%q is written %q", path, name)
		}
		if name.width < 1 || name.width > TileWidth || name.level < 0 || name.level > maxTileLevel || name.index > MaxSize/TileWidth {
			t.Errorf("%q is %+v", path, name)
		}
	})
}
