package canonical

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"
)

// Base64 returns b in base64url without padding (RFC 4648 section 5).
func Base64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ParseBase64 decodes unpadded base64url. Padding, line breaks and non-zero trailing bits are refused. The error is ErrForm.
func ParseBase64(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder skips line breaks
		return nil, fmt.Errorf("read base64url: %w", ErrForm)
	}
	return b, nil
}

// DigestLen is the length of a digest's text.
const DigestLen = 43

// IsDigest reports whether text is the base64url of 32 bytes, as digests and commitments stand in JSON.
func IsDigest(text string) bool {
	var b [32]byte
	if len(text) != DigestLen {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(text))
	return err == nil && n == len(b) // fewer with a line break, which the decoder skips
}

// A File is a named file of a set that is named by its digest, such as a policy set or a configuration.
type File struct {
	Path string `json:"path"` // relative, with slashes
	Data []byte `json:"data"`
}

// FilesDigest names a set of files, in any order: base64url(H(JCS([[path, base64url(H(data))]…]))), sorted by the bytes of the paths, each
// of which may stand there once.
func FilesDigest(newHash func() hash.Hash, files []File) (string, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	list := make([][2]string, len(files))
	for i, file := range files {
		if i > 0 && files[i-1].Path == file.Path {
			return "", fmt.Errorf("digest files: path %q stands twice", file.Path)
		}
		list[i] = [2]string{file.Path, Digest(newHash, file.Data)}
	}
	text, err := Marshal(list)
	if err != nil {
		return "", fmt.Errorf("digest files: %w", err)
	}
	return Digest(newHash, text), nil
}

// Digest is the base64url of newHash over data.
func Digest(newHash func() hash.Hash, data []byte) string {
	h := newHash()
	h.Write(data)
	return Base64(h.Sum(nil))
}

// TimeLayout is the one form of a time in JSON: RFC 3339 in UTC with milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// ErrTime says that a text is no time, or one in another form.
var ErrTime = errors.New("no time of the form " + TimeLayout)

// A Time is a time in UTC and whole milliseconds, written as TimeLayout. The zero Time is absent.
type Time struct{ time.Time }

// At returns t in UTC, cut to milliseconds.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// ParseTime reads a time in exactly TimeLayout. The error is ErrTime.
func ParseTime(text string) (Time, error) {
	t, err := time.Parse(TimeLayout, text)
	if err != nil || t.Format(TimeLayout) != text {
		return Time{}, ErrTime // the parser's error quotes the text
	}
	return Time{t.UTC()}, nil
}

// String returns the time in TimeLayout.
func (t Time) String() string { return t.UTC().Format(TimeLayout) }

// MarshalText returns String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// AppendText appends String.
func (t Time) AppendText(b []byte) ([]byte, error) { return append(b, t.String()...), nil }

// UnmarshalText is ParseTime.
func (t *Time) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTime(string(b))
	return err
}

// MarshalJSON returns String in quotes; without it the embedded time's own form would win.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON reads a string as ParseTime does.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return ErrTime
	}
	return t.UnmarshalText(b[1 : len(b)-1])
}

// Micros is a time as it is stored and bound: microseconds since 1970 UTC, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the time that Micros stands for, in UTC.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
