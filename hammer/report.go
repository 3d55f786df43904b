package hammer

import (
	"debug/elf"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Report is the result of a load test.
type Report struct {
	Began       time.Time `json:"began"`
	Machine     Machine   `json:"machine"`
	Store       string    `json:"store"`
	Callers     int       `json:"callers"`
	Mix         Mix       `json:"mix"`
	Interrupted bool      `json:"interrupted"`

	Ratio  Spread  `json:"ratio"` // full durable query ÷ bare handler, calls per second; the floor is 0.5
	CPU    Spread  `json:"cpu"`   // the same by processor time per call
	Rounds []Round `json:"rounds"`
	Mixed  Phase   `json:"mixed"`

	Figures []Figure `json:"figures"` // of the parts, where they were measured
	Missing []string `json:"missing"` // what was not measured, and why
	Proof   Proof    `json:"proof"`
}

// A Round measures each stretch once.
type Round struct {
	Bare  Phase   `json:"bare"`
	Full  Phase   `json:"full"`
	Half  Phase   `json:"half"`
	Ratio float64 `json:"ratio"` // of the rates
	CPU   float64 `json:"cpu"`   // of the processor times per call, bare ÷ full: what the ratio is where nobody else uses the machine
}

// A Spread is the median of several measurements with the least and the most.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(list []float64) Spread {
	if len(list) == 0 {
		return Spread{}
	}
	return Spread{median(list), slices.Min(list), slices.Max(list)}
}

// A Figure is one measured number.
type Figure struct {
	Name   string `json:"name"`
	Value  Spread `json:"value"`
	Unit   string `json:"unit"`
	Detail string `json:"detail,omitzero"`
}

// Machine describes the machine of a measurement.
type Machine struct {
	System     string  `json:"system"`
	Processors int     `json:"processors"`
	Model      string  `json:"model,omitzero"`
	Go         string  `json:"go"`
	Load       float64 `json:"load_before"` // one-minute load average; 0 where the system does not say
	LoadAfter  float64 `json:"load_after"`
}

func thisMachine() Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0), Go: runtime.Version(), Load: loadAverage()}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.Model = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func loadAverage() (load float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		fmt.Sscan(string(text), &load)
	}
	return load
}

// summarize computes the ratios over all rounds.
func (r *Report) summarize() {
	r.Ratio = spreadOf(pick(r.Rounds, func(x Round) float64 { return x.Ratio }))
	r.CPU = spreadOf(pick(r.Rounds, func(x Round) float64 { return x.CPU }))
}

func pick[T any](list []T, value func(T) float64) (out []float64) {
	for _, x := range list {
		out = append(out, value(x))
	}
	return out
}

// write prints the report.
func (r Report) write(o Options) error {
	switch {
	case o.Out == nil:
		return nil
	case o.JSON:
		return json.MarshalWrite(o.Out, r, jsontext.Multiline(true))
	}
	p := &printer{out: o.Out}
	p.report(r)
	return p.err
}

// A printer writes lines and keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

func (p *printer) report(r Report) {
	m := r.Machine
	p.line("%s, %d processors %s, %s, load average %.2f before and %.2f after", m.System, m.Processors, m.Model, m.Go, m.Load, m.LoadAfter)
	p.line("%s, %d callers, median of %d rounds (least … most)\n", r.Store, r.Callers, len(r.Rounds))
	p.line("%-14s %10s %10s %10s %10s %10s %10s", "", "calls/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "cpu µs")
	for _, s := range []struct {
		name string
		of   func(Round) Phase
	}{
		{"bare handler", func(r Round) Phase { return r.Bare }}, {"full load", func(r Round) Phase { return r.Full }}, {"half load", func(r Round) Phase { return r.Half }},
	} {
		var phases []Phase
		for _, x := range r.Rounds {
			phases = append(phases, s.of(x))
		}
		p.phase(s.name, phases)
	}
	if r.Mixed.Calls > 0 {
		p.phase("mixed load", []Phase{r.Mixed})
		p.line("mixed load     %s", codes(r.Mixed.Codes))
	}
	p.line("\nfull durable query ÷ bare handler: %s (floor 0.5); by processor time per call: %s", r.Ratio, r.CPU)
	for _, f := range r.Figures {
		p.line("%s: %s %s%s", f.Name, f.Value, f.Unit, bracketed(f.Detail))
	}
	for _, text := range r.Missing {
		p.line("not measured: %s", text)
	}
	p.proof(r)
}

func (p *printer) phase(name string, list []Phase) {
	if len(list) == 0 {
		return
	}
	of := func(value func(Phase) float64) float64 { return median(pick(list, value)) }
	p.line("%-14s %10.0f %10.2f %10.2f %10.2f %10.2f %10.0f", name, of(func(p Phase) float64 { return p.Rate }), of(func(p Phase) float64 { return p.P50 }),
		of(func(p Phase) float64 { return p.P90 }), of(func(p Phase) float64 { return p.P99 }), of(func(p Phase) float64 { return p.Max }), of(func(p Phase) float64 { return p.CPU }))
}

func (p *printer) proof(r Report) {
	if r.Interrupted {
		p.line("\ninterrupted: the answers until then are proven")
	}
	p.line("\nproof: %d answers with a receipt, %d without, log of %d", r.Proof.Answers, r.Proof.Others, r.Proof.LogSize)
	for _, s := range r.Proof.Steps {
		mark := "ok    "
		if !s.OK {
			mark = "FAILED"
		}
		p.line("  %s %s: %s", mark, s.Name, s.Detail)
	}
	if r.Proof.Holds {
		p.line("nothing that was answered is missing")
	} else {
		p.line("SOMETHING THAT WAS ANSWERED IS MISSING OR ALTERED")
	}
}

// String is "1.23 (1.20 … 1.30)".
func (s Spread) String() string {
	if s.Least == s.Most {
		return number3(s.Median)
	}
	return fmt.Sprintf("%s (%s … %s)", number3(s.Median), number3(s.Least), number3(s.Most))
}

// number3 has three digits, or all before the point.
func number3(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func bracketed(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func codes(counts map[string]int) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprint(code, " ", counts[code]))
	}
	return strings.Join(parts, ", ")
}

// stripped reports whether a program file has no symbol table; known is false if the file is not ELF.
func stripped(name string) (yes, known bool) {
	f, err := elf.Open(name)
	if err != nil {
		return false, false
	}
	defer f.Close()
	return f.Section(".symtab") == nil, true
}
