package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

var encodings = map[string]encoding.Encoding{
	"utf-8":   encoding.Nop, // checked, not converted
	"gbk":     simplifiedchinese.GBK,
	"gb18030": simplifiedchinese.GB18030,
}

// A badLine is why a drop is refused. It repeats nothing of the line.
type badLine struct {
	line   int // counted from 1; 0 when it is about the drop as a whole
	reason string
}

func (b *badLine) Error() string {
	if b.line == 0 {
		return b.reason
	}
	return fmt.Sprintf("line %d: %s", b.line, b.reason)
}

// lines is a reader of UTF-8 that decodes line by line and stops with a *badLine where a character is not one of its
// encoding. The decoders of golang.org/x/text never fail: they put U+FFFD in its place, and a name would be lost. Lines
// can be cut at the byte 0x0A, because no part of a longer GBK or GB18030 character has that value.
type lines struct {
	in       *bufio.Reader
	decoder  *encoding.Decoder
	utf8     bool
	cutShort bool // whether the last line may lack its line break
	n        int  // lines read
	rest     []byte
}

func newLines(in io.Reader, name string, maxLine int, cutShort bool) *lines {
	return &lines{in: bufio.NewReaderSize(in, max(maxLine, 16)), decoder: encodings[name].NewDecoder(), utf8: name == "utf-8", cutShort: cutShort}
}

// Read implements io.Reader.
func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *lines) next() error {
	raw, err := l.in.ReadSlice('\n')
	if len(raw) == 0 && err == io.EOF {
		return io.EOF
	}
	l.n++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return &badLine{l.n, "longer than allowed"}
	case err == io.EOF && !l.cutShort:
		return &badLine{l.n, "the last line has no line break; the drop may be cut short"}
	case err != nil && err != io.EOF:
		return errors.New("cannot read the drop to its end")
	}
	text := raw
	if !l.utf8 {
		if text, err = l.decoder.Bytes(raw); err != nil {
			return &badLine{l.n, "not in the encoding"}
		}
	}
	if !utf8.Valid(text) || bytes.ContainsRune(text, utf8.RuneError) {
		return &badLine{l.n, "a character is not in the encoding, or was replaced (U+FFFD)"}
	}
	if l.n == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	if bytes.ContainsFunc(bytes.TrimRight(text, "\r\n"), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return &badLine{l.n, "a control character"}
	}
	l.rest = text
	return nil
}
