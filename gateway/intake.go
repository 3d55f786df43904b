package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/go-kit/kit/endpoint"

	"oncegate/api"
	"oncegate/gateway/share"
)

// Bounds of what waits, and of bodies.
const (
	bodyCost     = 4                // bytes of memory for each byte of a body: as it came, as text in it, as bytes of its own, and growing buffers
	bodyStep     = 64 << 10         // bytes of memory that are taken at once
	bodyPatience = 10 * time.Second // that every body may take
	bodyRate     = 512 << 10        // bytes per second that a long one must come at beyond that
	restPatience = time.Second      // for a body that nobody reads, before its connection is closed
	verifyWait   = 5 * time.Second
	waitingEach  = 64 // calls of one suspect that wait for their signature check
)

// An intake is what is shared out among the systems before work begins (design law 11).
type intake struct {
	calls  *share.Pool  // calls under way, from the signature check to the answer's last byte
	memory *share.Pool  // bytes of memory for bodies
	heavy  *share.Queue // verifications, and documents being drawn, at once: work for a processor
	public *share.Pool  // requests for public artefacts under way, by network
}

// processors is how much work for a processor is done at once, so that other calls do not wait for it.
func processors() int { return max(1, runtime.GOMAXPROCS(0)/2) }

func newIntake(l Limits) *intake {
	return &intake{
		calls: share.NewPool(l.InFlight), memory: share.NewPool(l.Memory), heavy: share.NewQueue(processors(), l.InFlight),
		public: share.NewPool(max(1, l.InFlight/4)),
	}
}

// use divides anew for the systems of a snapshot.
func (i *intake) use(weights map[string]float64) {
	i.calls.Divide(weights)
	i.memory.Divide(weights)
	i.heavy.Divide(weights)
}

// weights say how the shares of systems compare.
func weights(systems map[string]System) map[string]float64 {
	all := make(map[string]float64, len(systems))
	for id, s := range systems {
		all[id] = orDefault(s.Share, 1)
	}
	return all
}

// Which share a system has used up; a label of metrics.
const (
	shareRate          = "rate"
	shareCalls         = "calls"
	shareMemory        = "memory"
	shareVerifications = "verifications"
)

// limited refuses an authenticated system that has used up one of its shares: the fixed answer of design law 1, counted, and
// recorded once for each system and minute.
type limited struct{ system, share string }

func (l *limited) Error() string { return "system " + l.system + " has used up its share: " + l.share }

// A visit is a request on its way in, in the place of its body: what it holds of its system's shares until it is answered. It
// is nobody's before its signature was checked, and its body is not read before.
type visit struct {
	io.ReadCloser
	g      *Gateway
	answer http.ResponseWriter
	length int64 // of the body; at most
	system string
	read   int
	taken  int // bytes of memory
}

// visited gives back what a request holds when it is answered.
func (g *Gateway) visited(most int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{ReadCloser: r.Body, g: g, answer: w, length: int64(most)}
		if r.ContentLength >= 0 {
			v.length = min(v.length, r.ContentLength)
		}
		defer v.leave()
		r.Body = v
		next.ServeHTTP(w, r)
	})
}

// admit lets a call of a system in that its signature proves: within its rate, and its share of calls under way.
func (v *visit) admit(system string, now time.Time) error {
	switch {
	case !v.g.limits.allow(system, now):
		return &limited{system, shareRate}
	case !v.g.intake.calls.Take(system, 1):
		return &limited{system, shareCalls}
	}
	v.system = system
	return nil
}

func (v *visit) leave() {
	if v.system != "" {
		v.g.intake.calls.Give(v.system, 1)
		v.g.intake.memory.Give(v.system, v.taken)
	}
}

// Read takes memory from the system's share for what is read. What was not sent yet takes none; what comes too slowly is cut off.
func (v *visit) Read(data []byte) (int, error) {
	if v.system == "" {
		return 0, errors.New("the body of a caller that is not proved")
	}
	if v.read == 0 {
		v.readBy(time.Now().Add(bodyPatience + time.Duration(v.length)*time.Second/bodyRate))
	}
	n, err := v.ReadCloser.Read(data)
	v.read += n
	if err == io.EOF {
		v.readBy(time.Time{}) // net/http reads on, to see that the caller hangs up: that is no body, and may last as long as the call
	}
	if need := bodyCost * v.read; need > v.taken {
		more := (need - v.taken + bodyStep - 1) / bodyStep * bodyStep
		if !v.g.intake.memory.Take(v.system, more) {
			return 0, &limited{v.system, shareMemory}
		}
		v.taken += more
	}
	return n, err
}

// readBy bounds reading from the connection. Where it cannot be set, as in tests without one, the server's own bound holds.
func (v *visit) readBy(end time.Time) { _ = http.NewResponseController(v.answer).SetReadDeadline(end) }

// inTurn lets verifications begin in their systems' turns: a hostile document takes up to 200 ms of a processor.
func (g *Gateway) inTurn(next endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		c := request.(*call)
		if c.row.ID != "licenses.verify" {
			return next(ctx, request)
		}
		waiting, cancel := context.WithTimeout(ctx, verifyWait)
		defer cancel()
		if !g.intake.heavy.Take(waiting, c.claims.Issuer) {
			return nil, &limited{c.claims.Issuer, shareVerifications}
		}
		defer g.intake.heavy.Give(c.claims.Issuer)
		return next(ctx, request)
	}
}

// drawn draws a document in the system's turn: it takes a processor 20 to 35 ms.
func (w *work) drawn(ctx context.Context, draw func(context.Context) ([]byte, error)) ([]byte, error) {
	system := w.c.claims.Issuer
	if !w.g.intake.heavy.Take(ctx, system) {
		return nil, fmt.Errorf("wait to draw a document: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded))
	}
	defer w.g.intake.heavy.Give(system)
	return draw(ctx)
}

// unsigned bounds how many requests for public artefacts are answered at once, each network having its share: who reads slowly
// holds up others of the kind, and no call.
func (g *Gateway) unsigned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		network := g.client(r)
		if !g.intake.public.Take(network, 1) {
			g.metrics.refused.WithLabelValues("overloaded").Inc()
			api.NewProblem("overloaded").Write(w)
			return
		}
		defer g.intake.public.Give(network, 1)
		next.ServeHTTP(w, r)
	})
}
