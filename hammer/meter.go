package hammer

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A meter shows how far a long run is, on one line. A nil writer shows nothing.
type meter struct {
	out  io.Writer
	mu   sync.Mutex // protects all below
	quit chan struct{}
	gone sync.WaitGroup
}

// start shows a count until stop. With total 0 there is no end to show.
func (m *meter) start(name string, count *atomic.Int64, total int) {
	if m == nil || m.out == nil {
		return
	}
	m.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	quit := make(chan struct{})
	m.quit = quit
	m.gone.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		begin := time.Now()
		for {
			select {
			case <-quit:
				fmt.Fprint(m.out, "\r\x1b[K")
				return
			case <-tick.C:
				n := count.Load()
				fmt.Fprintf(m.out, "\r\x1b[K%s: %d", name, n)
				if total > 0 {
					fmt.Fprintf(m.out, " of %d", total)
				}
				fmt.Fprintf(m.out, ", %.0f/s", float64(n)/time.Since(begin).Seconds())
			}
		}
	})
}

// say shows a line until something else is shown.
func (m *meter) say(text string) {
	if m != nil && m.out != nil {
		fmt.Fprintf(m.out, "\r\x1b[K%s", text)
	}
}

// clear leaves nothing behind.
func (m *meter) clear() {
	m.stop()
	m.say("")
}

func (m *meter) stop() {
	if m == nil {
		return
	}
	m.mu.Lock()
	quit := m.quit
	m.quit = nil
	m.mu.Unlock()
	if quit != nil {
		close(quit)
		m.gone.Wait()
	}
}
