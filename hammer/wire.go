package hammer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A line is one keep-alive connection. It does no more than a call needs, so that the load costs little beside what it loads.
type line struct {
	net.Conn
	in *bufio.Reader
}

// callTime bounds one call.
const callTime = 20 * time.Second

// maxAnswer bounds an answer's body in bytes.
const maxAnswer = 4 << 20

// dial connects to a loopback address; there are no others here.
func dial(ctx context.Context, address string) (*line, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, errors.New("connect: load is for loopback addresses only")
	}
	c, err := (&net.Dialer{Timeout: callTime}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &line{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

// do sends a request and reads its answer. After an error the line is of no more use.
func (l *line) do(request []byte) (status int, body []byte, err error) {
	if err := l.SetDeadline(time.Now().Add(callTime)); err != nil {
		return 0, nil, err
	}
	if _, err := l.Write(request); err != nil {
		return 0, nil, err
	}
	first, err := l.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(first) < 12 || !bytes.HasPrefix(first, []byte("HTTP/1.1 ")) {
		return 0, nil, errors.New("no HTTP answer")
	}
	if status, err = strconv.Atoi(string(first[9:12])); err != nil {
		return 0, nil, errors.New("no HTTP status")
	}
	length, err := l.head()
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(l.in, body)
	return status, body, err
}

// head reads the header and returns the body's length.
func (l *line) head() (length int, err error) {
	length = -1
	for {
		text, err := l.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		text = bytes.TrimRight(text, "\r\n")
		if len(text) == 0 {
			break
		}
		name, value, _ := bytes.Cut(text, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, errors.New("no length of the answer")
			}
		}
	}
	if length < 0 || length > maxAnswer {
		return 0, errors.New("the answer says no length, or too large a one")
	}
	return length, nil
}
