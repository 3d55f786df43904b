package hammer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// answers are what callers were told, kept in a file so that a long run costs no memory. Adding one is a write to a buffer.
type answers struct {
	mu    sync.Mutex // protects all below
	file  *os.File
	out   *bufio.Writer
	count int
	err   error // the first that went wrong; nothing is added after it
}

// An answer is what came back for a call.
type answer struct {
	kind   kind
	status int
	jti    string
	token  string
	body   []byte
}

func createAnswers(name string) (*answers, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep answers: %w", err)
	}
	return &answers{file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// add keeps an answer.
func (a *answers) add(got answer) {
	var head [2 + 4*4]byte
	head[0] = byte(got.kind)
	binary.BigEndian.PutUint32(head[2:], uint32(got.status))
	for i, part := range [][]byte{[]byte(got.jti), []byte(got.token), got.body} {
		binary.BigEndian.PutUint32(head[6+4*i:], uint32(len(part)))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return
	}
	a.out.Write(head[:])
	a.out.WriteString(got.jti)
	a.out.WriteString(got.token)
	_, a.err = a.out.Write(got.body)
	a.count++
}

// each reads all answers back, in the order in which they came.
func (a *answers) each(visit func(answer) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := errors.Join(a.err, a.out.Flush()); err != nil {
		return fmt.Errorf("keep answers: %w", err)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(a.file, 0, 1<<62), 1<<20)
	for range a.count {
		got, err := readAnswer(in)
		if err != nil {
			return fmt.Errorf("read kept answers: %w", err)
		}
		if err := visit(got); err != nil {
			return err
		}
	}
	return nil
}

func readAnswer(in io.Reader) (got answer, err error) {
	var head [2 + 4*4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return got, err
	}
	var parts [3][]byte
	for i := range parts {
		parts[i] = make([]byte, binary.BigEndian.Uint32(head[6+4*i:]))
		if _, err := io.ReadFull(in, parts[i]); err != nil {
			return got, err
		}
	}
	return answer{kind(head[0]), int(binary.BigEndian.Uint32(head[2:])), string(parts[0]), string(parts[1]), parts[2]}, nil
}

func (a *answers) close() error { return a.file.Close() }
