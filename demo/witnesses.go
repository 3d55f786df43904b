package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/audit"
	"oncegate/install"
	"oncegate/tlog"
	"oncegate/witness"
)

// witnesses are those of the city's log. Their organisations are made up, as the city is; in a real one they run elsewhere.
var witnesses = []struct{ folder, name, organization, address string }{
	{"audit", "audit.yunchuan.example/witness", "云川市审计局", "127.0.0.1:8430"},
	{"archives", "archives.yunchuan.example/witness", "云川市档案馆", "127.0.0.1:8440"},
}

// A watcher is a running witness.
type watcher struct {
	service *witness.Service
	log     *tlog.Remote // where it reads the tiles
	stop    context.CancelFunc
	stopped chan struct{}
}

// witnessURL matches a witness's address in the gateway's configuration.
func witnessURL(folder string) *regexp.Regexp {
	return regexp.MustCompile(`witnesses/` + folder + `\.vkey, url: "http://([0-9.]+:[0-9]+)"`)
}

// configureWitnesses makes the witnesses' keys, and names both in the gateway's configuration, unless a run before did: a quorum of two.
func (st *stage) configureWitnesses(context.Context) error {
	data, err := os.ReadFile(st.mainFile())
	if err != nil {
		return err
	}
	section := "\nwitnesses:\n  quorum: 2\n  members:\n"
	for _, w := range witnesses {
		vkey, err := witness.Init(st.path("witnesses", w.folder), w.name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("make witness: %w", err)
		}
		if err := os.MkdirAll(st.path("gateway", "witnesses"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(st.path("gateway", "witnesses", w.folder+".vkey"), []byte(vkey+"\n"), 0o600); err != nil {
			return err
		}
		section += fmt.Sprintf("    - {organization: %s, key: witnesses/%s.vkey, url: %q, both_trees: true}\n", w.organization, w.folder, "http://"+w.address)
	}
	if strings.Contains(string(data), "\nwitnesses:\n") {
		return nil
	}
	return os.WriteFile(st.mainFile(), append(data, section...), 0o600)
}

// openWitnesses binds the witnesses, which know the log by the keys that were made for it. They are asked once the gateway is there.
func (st *stage) openWitnesses(ctx context.Context) error {
	if err := errors.Join(st.openJournal(), install.WriteTrust(st.setup, st.path("trust"))); err != nil {
		return err
	}
	for _, w := range witnesses {
		if err := st.openWitness(ctx, w.folder, w.name); err != nil {
			return fmt.Errorf("start witness %s: %w", w.name, err)
		}
	}
	return nil
}

// openWitness retries with other ports when one was taken in the meantime (EADDRINUSE).
func (st *stage) openWitness(ctx context.Context, folder, name string) (err error) {
	for range 5 {
		was, err := addressIn(st.mainFile(), witnessURL(folder))
		if err != nil {
			return err
		}
		address, err := freeAddress(was)
		if err != nil {
			return err
		}
		if err := replaceIn(st.mainFile(), fmt.Sprintf("witnesses/%s.vkey, url: %q", folder, "http://"+was), fmt.Sprintf("witnesses/%s.vkey, url: %q", folder, "http://"+address)); err != nil {
			return err
		}
		if err = st.bindWitness(ctx, folder, name, address); !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return err
}

func (st *stage) bindWitness(ctx context.Context, folder, name, address string) error {
	file := st.path("witnesses", folder, witness.SettingsFile)
	text := fmt.Sprintf("name: %s\nkey: witness.key\nstate: state\nlisten: %s\nlogs:\n  - origin: %s\n    keys: [../../trust/%s]\n    sm2: [../../trust/%s]\n    url: %s/log\n",
		name, address, st.setup.Log.Origin, install.LogEdFile, install.LogSM2File, st.setup.Gateway.PublicURL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	settings, c, faults := witness.Load(file)
	if err := faults.Err(); err != nil {
		return err
	}
	c.Logger = slog.New(slog.NewJSONHandler(st.journal, nil))
	service, err := witness.Start(ctx, settings, c)
	if err != nil {
		return err
	}
	st.watchers = append(st.watchers, &watcher{service: service, log: c.Logs[0].Tiles})
	return nil
}

// runWitnesses serves, now that the gateway's address is known.
func (st *stage) runWitnesses(ctx context.Context) {
	for _, w := range st.watchers {
		w.log.Base = st.node.PublicURL() + "/log"
		serving, stop := context.WithCancel(context.WithoutCancel(ctx))
		w.stop, w.stopped = stop, make(chan struct{})
		go func() {
			defer close(w.stopped)
			if err := w.service.Run(serving, func() {}); err != nil {
				st.failed <- fmt.Errorf("a witness stopped: %w", err)
			}
		}()
	}
}

// closeWitnesses stops those that run, and lets go of what the others took.
func (st *stage) closeWitnesses() (err error) {
	for _, w := range st.watchers {
		if w.stop == nil {
			err = errors.Join(err, w.service.Close())
			continue
		}
		w.stop()
		<-w.stopped
	}
	return err
}

// witnessed replaces the receipt of an answer by the one under the first checkpoint that the quorum has co-signed, and returns that
// checkpoint, too.
func (s *story) witnessed(ctx context.Context, raw []byte) (answer []byte, checkpoint string, err error) {
	_, receipt, err := audit.SplitAnswer(raw)
	if err != nil {
		return nil, "", err
	}
	upgraded, err := s.node.WitnessedReceipt(ctx, receipt.Index)
	if err != nil {
		return nil, "", err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, "", err
	}
	if members["receipt"], err = upgraded.MarshalJSON(); err != nil {
		return nil, "", err
	}
	answer, err = json.Marshal(members, json.Deterministic(true))
	return answer, upgraded.Checkpoint, err
}

// receiptOf fetches the receipt of a record.
func (s *story) receiptOf(ctx context.Context, auditor caller, index uint64) (tlog.Receipt, error) {
	r, err := auditor.RecordReceipt(ctx, index)
	if err != nil {
		return tlog.Receipt{}, err
	}
	data, err := json.Marshal(r.Answer.Receipt)
	if err != nil {
		return tlog.Receipt{}, err
	}
	return tlog.ParseReceipt(data)
}
