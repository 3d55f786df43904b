package gateway

import (
	"bytes"
	"context"
	"reflect"
	"strings"

	"github.com/prometheus/common/expfmt"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/policy"
	"oncegate/tlog"
)

// whole checks the whole truth of a world at its end: the log adds up, the evidence of every record opens and is the
// record's, every decision made again from it is the same, and nothing personal stands openly in records, logs or metrics.
func (w *world) whole() {
	w.t.Helper()
	ctx := context.Background()
	head := must(w.db.Log().Head(ctx))(w.t)
	checkpoint := must(tlog.ParseCheckpoint(head.Checkpoint))(w.t)
	if err := audit.VerifyLog(ctx, w.db.Log(), checkpoint, sm.New, nil); err != nil {
		w.t.Errorf("the log: %v", err)
	}
	sets := map[string]*policy.Set{}
	for index := range head.Size {
		w.recordWhole(ctx, index, sets)
	}
	w.impersonal("a log line", w.lines.String())
	w.impersonal("a metric", w.exposition())
}

func (w *world) recordWhole(ctx context.Context, index uint64, sets map[string]*policy.Set) {
	w.t.Helper()
	replay, err := w.auditor.Replay(ctx, index)
	if err != nil {
		w.t.Errorf("record %d: %v", index, err)
		return
	}
	leaf, _, err := w.db.Audit().Entry(ctx, index)
	if err != nil {
		w.t.Error(err)
	}
	w.impersonal("a record", string(leaf))
	if replay.Record.TokenDigest == "" {
		return
	}
	w.impersonal("the inputs of a record", string(replay.Inputs))
	var inputs []input
	if err := unmarshal(replay.Inputs, &inputs); err != nil {
		w.t.Errorf("record %d: inputs: %v", index, err)
		return
	}
	set := sets[replay.Record.Policy]
	if set == nil {
		set = w.policy(replay.Policy...)
		sets[replay.Record.Policy] = set
	}
	decided := map[string]bool{}
	for _, in := range inputs {
		if in.Decision == nil {
			continue
		}
		if again := set.Decide(*in.Question); !sameDecision(again, *in.Decision) {
			w.t.Errorf("record %d: decided %+v, made again %+v", index, *in.Decision, again)
		}
		for _, rule := range in.Decision.Rules {
			decided[rule] = true
		}
	}
	for _, u := range replay.Record.Uses {
		for _, rule := range u.Rules {
			if !decided[rule] {
				w.t.Errorf("record %d names rule %s, which no recorded decision has", index, rule)
			}
		}
	}
}

func sameDecision(a, b policy.Decision) bool {
	left, _ := marshal(a)
	right, _ := marshal(b)
	return bytes.Equal(left, right) || reflect.DeepEqual(a, b)
}

// impersonal checks that a text holds nothing of anybody.
func (w *world) impersonal(where, text string) {
	w.t.Helper()
	for who, name := range names {
		if strings.Contains(text, who.Code) || strings.Contains(text, name) {
			w.t.Errorf("%s holds %s or %s", where, who.Code, name)
		}
	}
}

// exposition is what /metrics would say.
func (w *world) exposition() string {
	w.t.Helper()
	var b bytes.Buffer
	for _, family := range must(w.metrics.Gather())(w.t) {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			w.t.Fatal(err)
		}
	}
	return b.String()
}
