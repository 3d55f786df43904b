package audit

import (
	"bytes"
	"fmt"
	"hash"
	"slices"
)

// PolicyDigest names a policy set: base64url(SM3(JCS([[path, base64url(SM3(file))]…]))), sorted by the bytes of the paths.
// A path may stand in it once.
func PolicyDigest(newSM3 func() hash.Hash, files []File) (string, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int {
		return bytes.Compare([]byte(a.Path), []byte(b.Path))
	})
	list := make([][2]string, len(files))
	for i, file := range files {
		if i > 0 && files[i-1].Path == file.Path {
			return "", fmt.Errorf("digest policy set: path %q stands twice", file.Path)
		}
		list[i] = [2]string{file.Path, encode(digestOf(newSM3, file.Data))}
	}
	text, err := Canonical(list)
	if err != nil {
		return "", fmt.Errorf("digest policy set: %w", err)
	}
	return encode(digestOf(newSM3, text)), nil
}
