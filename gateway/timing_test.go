package gateway

import (
	"cmp"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
)

// The statistics want thousands of samples:
//
//	go test ./gateway -run TestRefusalTiming -timeout 30m -refusal.samples 2000 -v
var refusalSamples = flag.Int("refusal.samples", 0, "samples of each cause in the statistics of refusal timing; 0: what is exact only, of a few")

// A sample is what a caller can measure of one refusal.
type sample struct {
	latency, stamps float64 // milliseconds: until the answer, and from the answer's time to its record's
	answer, leaf    float64 // bytes
}

// measures are the figures of a sample that are compared.
var measures = map[string]func(sample) float64{
	"response latency":              func(s sample) float64 { return s.latency },
	"record's time - answer's time": func(s sample) float64 { return s.stamps },
	"answer length":                 func(s sample) float64 { return s.answer },
	"record length":                 func(s sample) float64 { return s.leaf },
}

// Law 2: what a caller can measure of a refusal says nothing of its cause. Exactly: the record is of the moment that the answer states, and
// all records have one length. By statistics (Mann-Whitney U over what was asked in random order): the latency and the length of
// the whole answer, receipt included.
func TestRefusalTiming(t *testing.T) {
	w := newWorld(t)
	w.skipWhole = *refusalSamples > 0
	w.accept("SP-2026-000003")
	w.acceptFlat("SP-2026-000004")
	w.acceptFlat("SP-2026-000005")
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/SP-2026-000005/close", map[string]any{}))
	w.rules("consents.yaml", "permissions:\n  - {id: more, systems: [food-approval], operations: [consents.register], basis: test}\n")
	w.consent("consent-other", "food-approval", company, false)
	w.consent("consent-wifes", "citizen-portal", wife, false)
	w.consent("consent-ended", "citizen-portal", company, true)
	for name, operation := range map[string]struct {
		refusals
		unknown string
		causes  map[string]string // → what is named instead of what is unknown
	}{
		"licenses.query": {refusals{
			"food-approval", "case-not-usable", func(string) string { return queryPath }, func(no string) any { return query("resident-id", stranger, no) },
		}, "SP-2026-999999", map[string]string{
			"another system's case": "SP-2026-000004", "closed case of another": "SP-2026-000005", "holder no party": "SP-2026-000003",
		}},
		"cases.check": {refusals{
			"food-approval", "case-not-usable", func(no string) string { return "/v1/cases/" + no + "/check" }, func(string) any { return map[string]any{} },
		}, "SP-2026-999999", map[string]string{
			"another system's case": "SP-2026-000004", "closed case of another": "SP-2026-000005",
		}},
		"cases.read": {refusals{
			"food-approval", "case-not-usable", func(no string) string { return "/v1/cases/" + no }, nil,
		}, "SP-2026-999999", map[string]string{
			"another's case": "SP-2026-000004", "closed case of another": "SP-2026-000005", "another's case that it may check": "SP-2026-000003",
		}},
		"precheck": {refusals{
			"citizen-portal", "consent-not-usable", func(string) string { return "/v1/precheck" },
			func(id string) any { return map[string]any{"matter": "YC-FOOD-01", "holder": company, "consent": id} },
		}, "consent-none1", map[string]string{
			"another system's consent": "consent-other", "another holder's consent": "consent-wifes", "withdrawn consent": "consent-ended",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			named := []string{operation.unknown}
			for _, no := range operation.causes {
				named = append(named, no)
			}
			samples := map[string][]sample{}
			random := rand.New(rand.NewPCG(1, 2))
			for range cmp.Or(*refusalSamples, 10) {
				random.Shuffle(len(named), func(i, j int) { named[i], named[j] = named[j], named[i] })
				for _, no := range named {
					one := w.sample(t, operation.refusals, no)
					if samples[no] = append(samples[no], one); one.leaf != samples[named[0]][0].leaf {
						t.Fatalf("a record of %v bytes, another of %v", one.leaf, samples[named[0]][0].leaf)
					}
				}
			}
			for cause, no := range operation.causes {
				for measure, of := range measures {
					p, effect := mannWhitney(figures(samples[operation.unknown], of), figures(samples[no], of))
					t.Logf("unknown / %s, %s: n = %d, p = %.3g, P(one is greater) = %.3f", cause, measure, len(samples[no]), p, effect)
					if *refusalSamples > 0 && (p < 1e-4 || math.Abs(effect-0.5) > 0.05) {
						t.Errorf("%s can be told from what is unknown by %s: p = %.3g, P(one is greater) = %.3f", cause, measure, p, effect)
					}
				}
			}
		})
	}
}

// refusals are calls of one operation that are refused whatever they name.
type refusals struct {
	system, code string
	path         func(named string) string
	body         func(named string) any // nil: it is read
}

// sample makes one call that is refused, and checks what must be exact.
func (w *world) sample(t *testing.T, of refusals, named string) (s sample) {
	t.Helper()
	path, method, raw := of.path(named), "GET", []byte(nil)
	if of.body != nil {
		method, raw = "POST", w.bodyOf(of.body(named))
	}
	request := w.request(method, path, raw, w.token(of.system, method, path, raw, nil))
	began := time.Now()
	response := must(http.DefaultClient.Do(request))(t)
	document := must(io.ReadAll(response.Body))(t)
	s.latency = float64(time.Since(began).Microseconds()) / 1000
	_ = response.Body.Close()
	var problem api.Problem
	_, receipt, err := audit.SplitAnswer(document)
	if err == nil {
		err = unmarshal(document, &problem)
	}
	record := must(audit.ParseRecord(receipt.Record))(t)
	at := must(canonical.ParseTime(record.Time))(t)
	if s.stamps = float64(at.Sub(problem.Time.Time).Milliseconds()); err != nil || problem.Code != of.code || s.stamps != 0 {
		t.Fatalf("%s: the record is of %s, the answer of %s (%v)", problem.Code, record.Time, problem.Time, err)
	}
	s.answer, s.leaf = float64(len(document)), float64(len(receipt.Record))
	return s
}

func figures(samples []sample, of func(sample) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = of(s)
	}
	return out
}

// mannWhitney returns the two-sided p of the Mann-Whitney U test, by the normal approximation with the correction for ties, and the
// probability that a figure of b is greater than one of a, ties half.
func mannWhitney(a, b []float64) (p, greater float64) {
	type ranked struct {
		value float64
		ofB   bool
	}
	all := make([]ranked, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, ranked{v, false})
	}
	for _, v := range b {
		all = append(all, ranked{v, true})
	}
	slices.SortFunc(all, func(x, y ranked) int { return cmp.Compare(x.value, y.value) })
	var ranks, ties float64 // sum of b's ranks
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].value == all[i].value {
			j++
		}
		for _, r := range all[i:j] {
			if r.ofB {
				ranks += float64(i+j+1) / 2
			}
		}
		n := float64(j - i)
		ties, i = ties+n*n*n-n, j
	}
	na, nb := float64(len(a)), float64(len(b))
	n := na + nb
	u := ranks - nb*(nb+1)/2
	variance := na * nb / 12 * (n + 1 - ties/(n*(n-1)))
	if variance <= 0 {
		return 1, u / (na * nb)
	}
	return math.Erfc(math.Abs(u-na*nb/2) / math.Sqrt(2*variance)), u / (na * nb)
}

// The statistics see a difference where there is one, and none where there is none.
func TestMannWhitney(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	draw := func(shift float64) []float64 {
		out := make([]float64, 2000)
		for i := range out {
			out[i] = math.Round(10*(random.NormFloat64()+shift)) / 10 // with ties
		}
		return out
	}
	if p, greater := mannWhitney(draw(0), draw(0)); p < 1e-3 || math.Abs(greater-0.5) > 0.03 {
		t.Errorf("of one distribution: p = %g, %g", p, greater)
	}
	if p, greater := mannWhitney(draw(0), draw(0.3)); p > 1e-10 || greater < 0.55 {
		t.Errorf("of two: p = %g, %g", p, greater)
	}
	if p, greater := mannWhitney([]float64{1, 1}, []float64{1, 1, 1}); p != 1 || greater != 0.5 {
		t.Errorf("of ties only: p = %g, %g", p, greater)
	}
	// Worked by hand: ranks of b are 2, 4, 5, so U = 5 of 6 and the mean 3 with variance 3.
	if p, greater := mannWhitney([]float64{1, 3}, []float64{2, 4, 5}); math.Abs(p-math.Erfc(2/math.Sqrt(6))) > 1e-12 || greater != 5.0/6 {
		t.Errorf("by hand: p = %g, %g", p, greater)
	}
}
