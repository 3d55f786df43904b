package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/install"
	"oncegate/language"
	"oncegate/tlog"
)

// status is how well the node is (GET /v1/node): what /doctor says, in both languages, with the figures of the log, its mark and the last
// reload. Nothing of a case, a person or a record stands in it.
func (n *Node) status(ctx context.Context) (api.NodeAnswer, error) {
	now := n.current.Load()
	s := now.setup
	head, err := tlog.ParseCheckpoint(n.log.Known())
	if err != nil {
		return api.NodeAnswer{}, err
	}
	a := api.NodeAnswer{
		Node: api.NodeState{Version: clip(ReadBuild().Version, 128), Since: api.At(n.started), Ready: len(n.Ready(ctx)) == 0, Nodes: max(1, s.Gateway.Nodes)},
		Log:  api.NodeLog{Origin: head.Origin, Size: head.Size, Witnesses: len(s.WitnessKeys)},
		Configuration: api.NodeConfiguration{
			Digest: s.Digest, Policy: s.Policy.Digest(), Since: api.At(now.since), Last: n.lastAttempt(),
		},
		Findings: []api.NodeFinding{},
	}
	if a.Log.LastRecord, err = n.lastRecord(ctx); err != nil {
		return a, err
	}
	if a.Node.Connected, err = n.db.Connected(ctx); err != nil {
		return a, err
	}
	switch c, err := n.log.LastCosigned(ctx); {
	case err == nil:
		a.Log.Witnessed = c.Size
	case !errors.Is(err, fs.ErrNotExist):
		return a, err
	}
	a.Mark.Agrees, a.Mark.Size = n.compareMark(s)
	if made, err := install.LastBackup(s); err == nil {
		a.Backup.At = api.At(made)
	}
	for _, f := range n.Findings(ctx) {
		a.Findings = append(a.Findings, f.told())
	}
	return a, nil
}

// nodeName is how a node is told from others on the same database: its version, its machine and its process.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s %s:%d", clip(ReadBuild().Version, 16), clip(host, 20), os.Getpid())
}

// lastRecord is when the newest record was made; zero if it is not known.
func (n *Node) lastRecord(ctx context.Context) (at api.Time, err error) {
	page, err := n.auditor.Search(ctx, audit.Ask{Limit: 1})
	if err != nil || len(page.Found) == 0 {
		return at, err
	}
	if t, err := time.Parse(time.RFC3339, page.Found[0].Record.Time); err == nil { // of a damaged record nothing is said
		at = api.At(t)
	}
	return at, nil
}

func (n *Node) lastAttempt() api.NodeReload {
	last := n.lastReload.Load()
	r := api.NodeReload{At: api.At(last.at), By: last.by, File: clip(last.file, 512), Result: last.result}
	if why := n.refused.Load(); why != nil {
		r.Why = inBoth(why.reason)
	}
	return r
}

// told is a finding in both languages.
func (f Finding) told() api.NodeFinding {
	out := api.NodeFinding{Check: f.Check, About: clip(f.About, 256), Whose: f.whose, State: api.NodeFindingState(f.State), Figure: clip(f.Figure, 128), Says: inBoth(f.Says)}
	out.Whose.Zh, out.Whose.En = clip(out.Whose.Zh, maxSentence), clip(out.Whose.En, maxSentence)
	if f.Do != "" {
		out.Do = inBoth(f.Do)
	}
	if !f.Until.IsZero() {
		out.Until = api.At(f.Until)
	}
	return out
}

// maxSentence is how many characters a sentence of the contract may have.
const maxSentence = 512

// inBoth is an English text of a finding in both languages.
func inBoth(text string) api.Sentence {
	return api.Sentence{Zh: clip(healthCatalogue.Printer(language.Chinese).Text(text), maxSentence), En: clip(text, maxSentence)}
}

// clip cuts a text to a number of characters.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
