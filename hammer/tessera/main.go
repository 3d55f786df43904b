// Command tessera appends the same leaves to a log of Oncegate over SQLite and to one of Tessera over POSIX files, on one disk in the
// same minute, and waits each time until a published checkpoint covers the leaf. It is a module of its own, so that Tessera is no
// dependency of the product.
//
//	cd hammer/tessera && go run . -rounds 3
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A log takes a leaf and returns when a published checkpoint covers it.
type log interface {
	append(ctx context.Context, leaf []byte) error
	close() error
}

// A figure is one log under so many writers.
type figure struct {
	Log     string  `json:"log"`
	Writers int     `json:"writers"`
	Rate    float64 `json:"per_second"` // median of the rounds, and the least and most
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	P50     float64 `json:"p50_ms"` // medians of the rounds
	P99     float64 `json:"p99_ms"`
}

func main() {
	dir := flag.String("dir", "", "folder for the logs, on the disk that is meant; default a temporary one")
	longest := flag.Duration("for", 3*time.Second, "how long each measurement takes, at most 1m")
	rounds := flag.Int("rounds", 3, "how often, at most 9")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, min(*longest, time.Minute), min(max(*rounds, 1), 9), *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "tessera:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, longest time.Duration, rounds int, asJSON bool) (err error) {
	if dir, err = os.MkdirTemp(dir, "logs-"); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var figures []figure
	for _, writers := range []int{1, 64, 512} {
		results := map[string][]result{}
		for round := range rounds { // in turns, so that the machine's moods meet both
			for name, open := range map[string]func(context.Context, string) (log, error){"oncegate": openOncegate, "tessera": openTessera} {
				r, err := measure(ctx, open, filepath.Join(dir, fmt.Sprint(name, "-", writers, "-", round)), writers, longest)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				results[name] = append(results[name], r)
			}
		}
		for _, name := range []string{"oncegate", "tessera"} {
			figures = append(figures, settle(name, writers, results[name]))
		}
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(figures)
	}
	for _, f := range figures {
		fmt.Printf("%-9s %4d writers: %8.0f/s (%.0f … %.0f), p50 %7.2f ms, p99 %7.2f ms\n", f.Log, f.Writers, f.Rate, f.Least, f.Most, f.P50, f.P99)
	}
	return nil
}

// A result is one measurement.
type result struct {
	rate float64
	took []time.Duration // sorted
}

func measure(ctx context.Context, open func(context.Context, string) (log, error), dir string, writers int, longest time.Duration) (r result, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	l, err := open(ctx, dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	var mu sync.Mutex
	var group sync.WaitGroup
	begin := time.Now()
	for w := range writers {
		group.Go(func() {
			var own []time.Duration
			var failed error
			for n := 0; failed == nil && ctx.Err() == nil && time.Since(begin) < longest; n++ {
				from := time.Now()
				failed = l.append(ctx, leaf(w, n))
				own = append(own, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			r.took, err = append(r.took, own...), errors.Join(err, failed)
		})
	}
	group.Wait()
	slices.Sort(r.took)
	r.rate = float64(len(r.took)) / time.Since(begin).Seconds()
	return r, errors.Join(err, ctx.Err())
}

// leaf is as long as the record of a query; no two are the same.
func leaf(writer, n int) []byte {
	text := make([]byte, 900)
	copy(text, fmt.Sprintf(`{"writer":%d,"n":%d,"time":%d}`, writer, n, time.Now().UnixNano()))
	return text
}

func settle(name string, writers int, list []result) figure {
	of := func(value func(result) float64) []float64 {
		var all []float64
		for _, r := range list {
			all = append(all, value(r))
		}
		slices.Sort(all)
		return all
	}
	quantile := func(q float64) func(result) float64 {
		return func(r result) float64 { return float64(r.took[int(q*float64(len(r.took)-1))]) / 1e6 }
	}
	middle := len(list) / 2
	rates := of(func(r result) float64 { return r.rate })
	return figure{name, writers, rates[middle], rates[0], rates[len(rates)-1], of(quantile(0.5))[middle], of(quantile(0.99))[middle]}
}
