package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/tlog"
)

// BenchmarkQuery measures the full durable query over loopback, and beside it a bare net/http handler that verifies the same
// tokens by the same code and writes an answer of the same length. "ratio" is the bare handler's time over the query's: the
// share of a query that is not the house's own. Both have 64 callers, made in this process too.
func BenchmarkQuery(b *testing.B) {
	w := newWorld(b)
	w.skipWhole = true
	w.accept("SP-1")
	body := w.bodyOf(query("business-license", company, "SP-1"))
	answer := w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, nil)).body
	bare := httptest.NewServer(bareHandler(w, answer))
	b.Cleanup(bare.Close)
	var ofBare float64
	b.Run("bare", func(b *testing.B) { ofBare = callMany(b, w, bare.URL, body, len(answer)) })
	b.Run("durable", func(b *testing.B) {
		if took := callMany(b, w, w.server.URL, body, 0); took > 0 && ofBare > 0 {
			b.ReportMetric(ofBare/took, "ratio")
		}
	})
}

// bareHandler is all that a server must do to answer a signed call at all.
func bareHandler(w *world, answer []byte) http.Handler {
	key := w.base.Systems["food-approval"].Keys["food-approval-1"].Public
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		compact, signed := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		err := errors.New("no token")
		if signed {
			_, err = token.Verify(r.Context(), compact, token.Expect{
				Audience: gatewayID, Method: r.Method, URL: publicURL + r.URL.EscapedPath(), Now: time.Now(),
				Body: func() (string, error) {
					body, err := io.ReadAll(io.LimitReader(r.Body, api.MaxBody))
					return token.BodyDigest(body), err
				},
				KeyOf: func(string, string) (*ecdsa.PublicKey, error) { return key, nil },
			})
		}
		if err != nil {
			http.Error(rw, "no", http.StatusUnauthorized)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(answer)
	})
}

// callMany makes b.N signed calls and returns the time of one in nanoseconds. Tokens are signed before.
func callMany(b *testing.B, w *world, url string, body []byte, length int) float64 {
	tokens := make([]string, b.N)
	for i := range tokens {
		tokens[i] = w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) {
			c.IssuedAt = w.now().Unix()
			c.Expires = c.IssuedAt + 300
		})
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var next atomic.Int64
	b.SetParallelism(32) // on two processors: 64 callers
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequestWithContext(b.Context(), "POST", url+queryPath, bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+tokens[next.Add(1)-1])
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			got, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || length > 0 && int(got) != length {
				b.Errorf("%d, %d bytes, %v", resp.StatusCode, got, err)
				return
			}
		}
	})
	b.StopTimer()
	return float64(b.Elapsed().Nanoseconds()) / float64(b.N)
}

// BenchmarkSearchPage is a page of 100 records as the auditor gets it from SQLite, and the same without the proof that each stands in the
// log, which is what the proof costs. "scattered" is one record in fifty of the log.
func BenchmarkSearchPage(b *testing.B) {
	w := newWorld(b)
	w.skipWhole = true
	var all sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		all.Go(func() {
			for n := next.Add(1); n <= 6000; n = next.Add(1) {
				own := audit.Own{Operation: "test.fill"}
				if n%50 == 0 {
					own.Operation = "test.rare"
				}
				if _, err := w.recorder.RecordOwn(b.Context(), own); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	index := sm.Digest([]byte("index"))
	unproven := must(audit.NewAuditor(audit.Config{
		Self: gatewayID, View: trusting{}, Storage: w.db.Audit(), Sealer: w.ring, NewSM3: sm.New, IndexKeys: [][]byte{index[:]},
	}))(b)
	for _, kind := range []struct{ name, operation string }{{"newest", "test.fill"}, {"scattered", "test.rare"}} {
		for name, auditor := range map[string]*audit.Auditor{"proven": w.auditor, "unproven": unproven} {
			b.Run(kind.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					page, err := auditor.Search(b.Context(), audit.Ask{Operation: kind.operation, Limit: 100})
					if err != nil || len(page.Found) != 100 {
						b.Fatal(len(page.Found), err)
					}
				}
			})
		}
	}
}

// trusting is a view that proves nothing.
type trusting struct{}

func (trusting) Prove(context.Context, []tlog.Leaf) (tlog.Checkpoint, error) {
	return tlog.Checkpoint{Origin: origin, Size: 1 << 40}, nil
}
