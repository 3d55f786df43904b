package hammer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/token"
)

// A kind is a kind of call in the load.
type kind byte

const (
	query    kind = 'q' // the business license of a company, for its case
	check    kind = 'c' // all materials of a chain of eight matters
	register kind = 'r' // a new case
	stranger kind = 's' // a company that is not a party of the case: refused, and recorded
	replay   kind = 'p' // a replay of an earlier call: it must not be answered again
)

// A call is a signed call, serialized as an HTTP/1.1 request.
type call struct {
	kind  kind
	jti   string
	token string
	wire  []byte
}

// compose signs a call and writes it as one HTTP/1.1 request.
func (in *installation) compose(ctx context.Context, k kind, system, path string, body []byte) (*call, error) {
	now := time.Now()
	jti, err := token.NewID(now, nil)
	if err != nil {
		return nil, err
	}
	compact, err := token.Sign(ctx, in.signers[system], token.Claims{
		Issuer: system, Audience: in.setup.Gateway.ID, ID: jti, Method: http.MethodPost, URL: in.publicURL() + path, Body: token.BodyDigest(body),
		Operator: "hammer", Request: jti, IssuedAt: now.Unix(), Expires: now.Add(token.MaxLifetime).Unix(),
	}, now)
	if err != nil {
		return nil, err
	}
	wire := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, in.service, compact, len(body))
	return &call{kind: k, jti: jti, token: compact, wire: append(wire, body...)}, nil
}

// make composes the n-th call of a kind.
func (in *installation) make(ctx context.Context, k kind, n int) (*call, error) {
	company := n % len(in.companies)
	switch k {
	case query, stranger:
		holder := company
		if k == stranger {
			holder = (company + 1) % len(in.companies)
		}
		return in.body(ctx, k, approval, "/v1/licenses/query", api.QueryRequest{
			Purpose: api.Purpose{Case: caseNumber(company), Material: "business-license"}, LicenseType: "business-license", Holder: in.holder(holder),
		})
	case check:
		return in.body(ctx, k, platform, "/v1/cases/"+chainNumber(company%chains)+"/check", api.CheckRequest{})
	case register:
		return in.body(ctx, k, acceptance, "/v1/cases", in.acceptance(fmt.Sprintf("HM-NEW-%d-%d", time.Now().UnixNano(), n), foodMatter, company))
	}
	return nil, fmt.Errorf("unknown kind of call %q", k)
}

func (in *installation) body(ctx context.Context, k kind, system, path string, question any) (*call, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	return in.compose(ctx, k, system, path, body)
}

func (in *installation) holder(company int) api.HolderID {
	return api.HolderID{Type: "001", Code: in.companies[company]}
}

// acceptance registers a case of a company.
func (in *installation) acceptance(no, matter string, company int) api.CaseRequest {
	return api.CaseRequest{
		No: no, Matter: matter, Attestation: "platform", Accepted: api.At(time.Now().Add(-time.Minute)),
		Parties: []api.Party{{Role: "applicant", Holder: in.holder(company)}},
	}
}

// chains is how many cases are chains of eight matters.
const chains = 20

func chainNumber(n int) string { return fmt.Sprintf("HM-CHAIN-%04d", n) }

// A Mix is the distribution of a hundred calls over the kinds; the rest are queries.
type Mix struct {
	Check    int `json:"check"`    // checks of a chain: eight materials in one call
	Register int `json:"register"` // new cases
	Stranger int `json:"stranger"` // questions that must be refused, and recorded
	Replay   int `json:"replay"`   // calls made again with the same token: they must not be answered again
}

// DefaultMix has some of everything.
func DefaultMix() Mix { return Mix{Check: 5, Register: 10, Stranger: 5, Replay: 5} }

func (m Mix) valid() error {
	if m.Check < 0 || m.Register < 0 || m.Stranger < 0 || m.Replay < 0 || m.Check+m.Register+m.Stranger+m.Replay > 100 {
		return fmt.Errorf("the mix %+v is not of a hundred calls", m)
	}
	return nil
}

// pattern spreads the kinds evenly over a hundred calls.
func (m Mix) pattern() []kind {
	all := []byte(strings.Repeat(string(query), 100))
	place := func(k kind, count int) {
		for i := range count {
			at := i * 100 / count
			for all[at%100] != byte(query) {
				at++
			}
			all[at%100] = byte(k)
		}
	}
	place(check, m.Check)
	place(register, m.Register)
	place(stranger, m.Stranger)
	place(replay, m.Replay)
	kinds := make([]kind, len(all))
	for i, b := range all {
		kinds[i] = kind(b)
	}
	return kinds
}

// A connection is one keep-alive HTTP/1.1 connection. It parses only what a call needs, so that the load generator costs little
// beside the gateway that it measures.
type connection struct {
	net.Conn
	in *bufio.Reader
}

// callTime bounds one call.
const callTime = 20 * time.Second

// maxAnswer bounds an answer's body in bytes.
const maxAnswer = 4 << 20

// dial connects to a loopback address; there are no others here.
func dial(ctx context.Context, address string) (*connection, error) {
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
	return &connection{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

// do sends a request and reads its answer. After an error the connection must be closed.
func (l *connection) do(request []byte) (status int, body []byte, err error) {
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
		return 0, nil, errors.New("the answer is not HTTP/1.1")
	}
	if status, err = strconv.Atoi(string(first[9:12])); err != nil {
		return 0, nil, errors.New("the answer's HTTP status is not a number")
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
func (l *connection) head() (length int, err error) {
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
				return 0, errors.New("the answer's Content-Length is not a number")
			}
		}
	}
	if length < 0 || length > maxAnswer {
		return 0, errors.New("the answer has no Content-Length, or one above the limit")
	}
	return length, nil
}
