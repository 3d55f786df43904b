package tlog

import (
	"context"
	"io/fs"
	"strings"
)

// Bundle returns an entry bundle by its C2SP path below the log, "tile/entries/<N>[.p/<W>]", within the committed size.
// fs.ErrNotExist for everything else, and ErrUnproven if one of the leaves does not prove: a bundle names no checkpoint that its
// reader would hold it against, so that an altered leaf would be read as a record. Leaves are not public: the caller checks the right to
// read them.
func (v *View) Bundle(ctx context.Context, path string) ([]byte, error) {
	name, err := parseTilePath(strings.TrimPrefix(path, "/"))
	if err != nil || !name.entries {
		return nil, fs.ErrNotExist
	}
	return v.bundle(ctx, name)
}
