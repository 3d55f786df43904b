package interop_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
)

// fetcher is Tessera's own fetcher of a log over HTTP.
func (l *publicLog) fetcher(t *testing.T, c *http.Client) *client.HTTPFetcher {
	t.Helper()
	base, err := url.Parse(l.log)
	must(t, err)
	f, err := client.NewHTTPFetcher(base, c)
	must(t, err)
	return f
}

// tesseraClient: everything of Tessera's client that reads checkpoints and tiles runs unmodified, and needs no right. Entries need
// one: without it Tessera's fetcher is refused; with an HTTP client that signs each request it reads them.
func (l *publicLog) tesseraClient(t *testing.T) {
	ctx, public := t.Context(), l.fetcher(t, nil)
	c, _, _, err := client.FetchCheckpoint(ctx, public.ReadCheckpoint, l.key, l.key.Name())
	must(t, err)
	if c.Size < size {
		t.Fatalf("size is %d", c.Size)
	}

	tracker, err := client.NewLogStateTracker(ctx, public.ReadTile, l.before, l.key, l.key.Name(), client.UnilateralConsensus(public.ReadCheckpoint))
	must(t, err)
	older, _, _, err := tracker.Update(ctx) // proves consistency
	must(t, err)
	if !bytes.Equal(older, l.before) || tracker.Latest().Size < size {
		t.Errorf("the tracker went to size %d", tracker.Latest().Size)
	}
	wrong := l.fetcher(t, l.spoiled("tile/0/000"))
	tracker, err = client.NewLogStateTracker(ctx, wrong.ReadTile, l.before, l.key, l.key.Name(), client.UnilateralConsensus(public.ReadCheckpoint))
	must(t, err)
	if _, _, _, err := tracker.Update(ctx); !errors.As(err, new(client.ErrInconsistency)) {
		t.Errorf("a wrong bit in a tile: %v", err)
	}

	builder, err := client.NewProofBuilder(ctx, c.Size, public.ReadTile)
	must(t, err)
	path, err := builder.InclusionProof(ctx, uint64(l.filed.index))
	must(t, err)
	leaf := rfc6962.DefaultHasher.HashLeaf(l.filed.record)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(l.filed.index), c.Size, leaf, path, c.Hash); err != nil {
		t.Error(err)
	}
	from := l.tree(t, l.before)
	path, err = builder.ConsistencyProof(ctx, uint64(from.N), c.Size)
	must(t, err)
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(from.N), c.Size, path, from.Hash[:], c.Hash); err != nil {
		t.Error(err)
	}

	if _, err := client.GetEntryBundle(ctx, public.ReadEntryBundle, 0, c.Size); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("entries without a right: %v", err)
	}
	entries := client.EntryBundles(ctx, 2, func(context.Context) (uint64, error) { return c.Size, nil }, l.fetcher(t, l.auditor.client()).ReadEntryBundle, 0, c.Size)
	hashes, err := client.FetchLeafHashes(ctx, public.ReadTile, 0, c.Size, c.Size)
	must(t, err)
	read := 0
	for e, err := range client.Entries(entries, leaves) {
		must(t, err)
		if e.Index != uint64(read) || !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(e.Entry), hashes[read]) {
			t.Fatalf("entry %d is not what tile 0 says", read)
		}
		if e.Index == uint64(l.filed.index) && !bytes.Equal(e.Entry, l.filed.record) {
			t.Error("the entry is not the receipt's record")
		}
		read++
	}
	if uint64(read) != c.Size {
		t.Errorf("%d entries of %d", read, c.Size)
	}
}

// leaves reads an entry bundle with Tessera's parser.
func leaves(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	err := b.UnmarshalText(bundle)
	return b.Entries, err
}

func leafHashes(bundle []byte) (hashes [][]byte, err error) {
	all, err := leaves(bundle)
	for _, leaf := range all {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(leaf))
	}
	return hashes, err
}

// tesseraFsck: Tessera's check of a whole log runs unmodified over its own fetcher, which is given an HTTP client that signs. It
// reads every entry, computes the tree again, and compares every tile and the root.
func (l *publicLog) tesseraFsck(t *testing.T) {
	check := func(c *http.Client) error {
		return fsck.New(l.key.Name(), l.key, l.fetcher(t, c), leafHashes, fsck.Opts{N: 4}).Check(t.Context())
	}
	if err := check(l.auditor.client()); err != nil {
		t.Error(err)
	}
	// A wrong entry shows in any of the tiles above it, whichever is compared first.
	for path, why := range map[string]string{
		"tile/entries/000": "log has",
		"tile/entries/001": "log has",
		"tile/0/000":       "tile/0/000: log has",
		"tile/0/001":       "tile/0/001.p/",
		"tile/1/000":       "tile/1/000.p/1: log has",
		"checkpoint":       "signature",
	} {
		if err := check(l.spoiled(path)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("a wrong bit in %s: %v", path, err)
		}
	}
	if err := check(nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a right: %v", err)
	}
}

// tesseraCommand: the program fsck as Tessera publishes it. NOT UNMODIFIED against the gateway itself: its -bearer_token is one
// fixed text, and a token here is for one URL and one use. Through a proxy that signs, which is all that stands between, it is.
func (l *publicLog) tesseraCommand(t *testing.T) {
	command := filepath.Join(t.TempDir(), "fsck")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command, "github.com/transparency-dev/tessera/cmd/fsck").CombinedOutput(); err != nil {
		t.Fatalf("build fsck: %v\n%s", err, out)
	}
	check := func(log string, args ...string) string {
		args = append(args, "-storage_url", log, "-public_key", l.path("trust", "log.ed25519.pub"), "-ui=false", "-N", "4")
		out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput()
		must(t, err) // it exits 0 also where a log is wrong: what it says counts
		return string(out)
	}
	const holds, fails = "Successfully fsck'd log", "fsck failed"

	token, err := l.auditor.token(http.MethodGet, l.log+"tile/entries/000", time.Now().Unix())
	must(t, err)
	if said := check(l.log, "-bearer_token", token); !strings.Contains(said, fails) || !strings.Contains(said, "401") {
		t.Errorf("with one token for the whole log it says:\n%s", said)
	}

	if said := check(l.proxy(t, l.auditor)); !strings.Contains(said, holds) || strings.Contains(said, fails) {
		t.Errorf("through a proxy that signs it says:\n%s", said)
	}
	if said := check(l.proxy(t, l.spoiled("tile/entries/001").Transport)); strings.Contains(said, holds) || !strings.Contains(said, fails) {
		t.Errorf("of a log with a wrong bit it says:\n%s", said)
	}
}

// proxy serves the log at an address of its own and returns its URL.
func (l *publicLog) proxy(t *testing.T, transport http.RoundTripper) string {
	t.Helper()
	target, err := url.Parse(l.base)
	must(t, err)
	server := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	t.Cleanup(server.Close)
	return server.URL + "/log/"
}
