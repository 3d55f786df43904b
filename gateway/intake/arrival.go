package intake

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Bounds of slow bodies.
const (
	bodyPatience = 10 * time.Second // that every body may take
	bodyRate     = 512 << 10        // bytes per second at which a long body must come beyond that

	// UnreadPatience is how long a body that nobody reads may take before its connection is closed.
	UnreadPatience = time.Second
)

// An arrival is a request that is being read, in the place of its body. It holds what the request uses of its system's
// limits until it is answered. It belongs to no system before its signature is verified, and its body is not read before.
type arrival struct {
	io.ReadCloser
	in     *Intake
	answer http.ResponseWriter
	most   int   // bytes of the body that its operation takes
	length int64 // of the body; at most
	system string
	read   int
	taken  int // bytes of memory
}

// Arrive returns the request with a body that Open can read: of at most so many bytes, at a minimum rate, in memory of the
// caller's share. The caller calls leave when the request is answered.
func (in *Intake) Arrive(w http.ResponseWriter, r *http.Request, most int) (_ *http.Request, leave func()) {
	a := &arrival{ReadCloser: r.Body, in: in, answer: w, most: most, length: int64(most)}
	if r.ContentLength >= 0 {
		a.length = min(a.length, r.ContentLength)
	}
	r.Body = a
	return r, a.leave
}

// admit admits a call of the system that its signature proves.
func (a *arrival) admit(system string, now time.Time) error {
	if err := a.in.admit(system, now); err != nil {
		return err
	}
	a.system = system
	return nil
}

func (a *arrival) leave() {
	if a.system != "" {
		a.in.calls.Give(a.system, 1)
		a.in.memory.Give(a.system, a.taken)
	}
}

// Read takes memory from the system's share for what is read; bytes that were not sent yet take none. A body that comes too
// slowly is cut off.
func (a *arrival) Read(data []byte) (int, error) {
	if a.system == "" {
		return 0, errors.New("the body of an unauthenticated caller is not read")
	}
	if a.read == 0 {
		a.readBy(time.Now().Add(bodyPatience + time.Duration(a.length)*time.Second/bodyRate))
	}
	n, err := a.ReadCloser.Read(data)
	a.read += n
	if err == io.EOF {
		a.readBy(time.Time{}) // net/http reads on to notice a hang-up: that is no body, and may last as long as the call
	}
	if cost := bodyCost * a.read; cost > a.taken {
		more := (cost - a.taken + bodyStep - 1) / bodyStep * bodyStep
		if !a.in.memory.Take(a.system, more) {
			return 0, &Limited{a.system, byMemory}
		}
		a.taken += more
	}
	return n, err
}

// readBy sets the connection's read deadline. Where it cannot be set, as in tests without a connection, the server's own holds.
func (a *arrival) readBy(end time.Time) {
	_ = http.NewResponseController(a.answer).SetReadDeadline(end)
}
