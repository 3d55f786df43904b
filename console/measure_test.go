package console_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/config"
	"oncegate/console/consoletest"
	"oncegate/install"
	"oncegate/store"
	"oncegate/store/storetest"
)

// recordsVariable names how many records the log of the measurement has; without it nothing is measured.
const recordsVariable = "ONCEGATE_TEST_PAGES"

// age gives the installation, which has not served yet, the log of a year, the newest record of now.
func (c *city) age(records int) {
	c.t.Helper()
	prepared, err := install.Prepare(context.Background(), c.path("gateway", config.MainFile), install.PrepareOptions{Cost: 10})
	c.must(err)
	setup := prepared.Setup
	sc, err := setup.StoreConfig(time.Now)
	c.must(err)
	db, err := store.Open(c.t.Context(), sc)
	c.must(err)
	for covered, size := uint64(0), uint64(1); covered < size; {
		covered, size, err = db.Audit().Follow(c.t.Context())
		c.must(err)
	}
	c.must(db.Close())
	signer, err := setup.Keys.Signer(keystore.Log, "")
	c.must(err)
	private, err := setup.Keys.Ed25519(keystore.Log, "")
	c.must(err)
	const year = 365 * 24 * time.Hour
	h := storetest.History{Path: sc.Path, DSN: sc.DSN, Log: setup.Log.Origin, NewSM3: sm.New, Proofs: sc.Proofs(), Records: records, Begin: time.Now().Add(-year), Every: year / time.Duration(records)}
	h.SM2, err = lognote.SM2NoteSigner(setup.Log.Origin, signer)
	c.must(err)
	h.Ed25519, err = lognote.Ed25519NoteSigner(setup.Log.Origin, private)
	c.must(err)
	begun := time.Now()
	c.must(h.Fill(c.t.Context()))
	c.t.Logf("%d records in %s", records, time.Since(begun).Round(time.Second))
}

// A gauge collects how long requests took.
type gauge struct {
	name      string
	wall, cpu []time.Duration
}

func percentile(list []time.Duration, p int) float64 {
	list = slices.Sorted(slices.Values(list))
	return float64(list[min(len(list)-1, len(list)*p/100)].Microseconds()) / 1000
}

// timed makes a request without following where it leads.
func (g *gauge) timed(b *browser, path string, fields map[string]string) (location, text string) {
	b.c.t.Helper()
	plain := &http.Client{Jar: b.http.Jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begun, spent := time.Now(), processorTime()
	var res *http.Response
	var err error
	if fields == nil {
		res, err = plain.Get(b.c.url + path)
	} else {
		res, err = plain.PostForm(b.c.url+path, valuesOf(fields))
	}
	b.c.must(err)
	body, err := io.ReadAll(res.Body)
	b.c.must(err)
	res.Body.Close()
	g.wall, g.cpu = append(g.wall, time.Since(begun)), append(g.cpu, processorTime()-spent)
	if res.StatusCode >= 400 {
		b.c.t.Fatalf("%s: %d\n%s", path, res.StatusCode, body)
	}
	u, err := url.Parse(res.Header.Get("Location"))
	b.c.must(err)
	return u.Path, string(body)
}

// waitForSearch waits until the node has checked its search, as it does after every start, in the background: that would be counted as time of requests,
// most of all of those that wait for a step of a timing grid.
func (c *city) waitForSearch() {
	begun := time.Now()
	for idle := 0; idle < 5; {
		if time.Since(begun) > 10*time.Minute {
			c.t.Fatal("the node does not come to rest")
		}
		spent := processorTime()
		time.Sleep(time.Second)
		if idle++; processorTime()-spent > 50*time.Millisecond {
			idle = 0
		}
	}
	c.t.Logf("the node came to rest after %s", time.Since(begun).Round(time.Second))
}

// TestPagesOnLongLog measures the pages on a long log: of each request the time on the wall and the processor time of the whole process, which is
// node, sources and browser together. It asserts nothing: a timed test is flaky.
func TestPagesOnLongLog(t *testing.T) {
	records, err := strconv.Atoi(os.Getenv(recordsVariable))
	if err != nil {
		t.Skip("nothing is measured: " + recordsVariable + " says on how many records")
	}
	c := newCity(t, func(c *city) {
		c.age(records)
		c.must(c.legacy.Tax.Export(time.Now())) // all sources answer: what is measured is our own time
	})
	defer c.stop()
	c.waitForSearch()
	shop := c.legacy.Population.Cast.FoodShop
	const times = 40
	var gauges []*gauge
	of := func(name string) *gauge {
		for _, g := range gauges {
			if g.name == name {
				return g
			}
		}
		gauges = append(gauges, &gauge{name: name})
		return gauges[len(gauges)-1]
	}
	page := func(text string) consoletest.Page { return consoletest.Read(t, text) }

	zhou := c.signIn("zhou", "3")
	for i := range times {
		no := fmt.Sprintf("SP-2026-%04d", 100+i)
		c.accept(no, "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder()))
		_, text := of("查材料: the empty form").timed(zhou, "/console/window", nil)
		_, text = of("查材料: scanned").timed(zhou, "/console/window", with(page(text).Form("/console/window"), "scan", no))
		to, _ := of("查材料: the check of a case").timed(zhou, "/console/window", with(page(text).Form("/console/window"), "who", "self"))
		_, text = of("结果").timed(zhou, to, nil)
		if p := page(text); !strings.Contains(p.Headline(), "可以受理") {
			t.Fatalf("the result: %s\n%s", p.Headline(), text)
		}
		to, _ = of("待办: the call").timed(zhou, "/console/due", page(text).Form("/console/due"))
		of("待办: the page").timed(zhou, to, nil)
	}
	qian := c.signIn("qian", "")
	for i := range times {
		_, text := of("查询: the empty form").timed(qian, "/console/search", nil)
		form := page(text).Form("/console/search")
		today := page(text).Form("/console/today")
		to, _ := of("今日: the call").timed(qian, "/console/today", today)
		of("今日: the page").timed(qian, to, nil)
		switch i % 3 {
		case 0:
			to, _ = of("查询: everything, the call").timed(qian, "/console/search", with(form, "system", "", "operation", ""))
		case 1:
			to, _ = of("查询: one system, refused, the call").timed(qian, "/console/search", with(form, "system", "food-approval", "decision", "denied"))
		default:
			to, _ = of("查询: a case, the call").timed(qian, "/console/search", with(form, "case", fmt.Sprintf("SP-%09d", 1000*i)))
		}
		_, text = of("查询: the page").timed(qian, to, nil)
		if i%3 == 2 {
			continue
		}
		list := page(text).Form("/console/records")
		to, _ = of("记录: the call").timed(qian, "/console/records", with(list, "index", strconv.Itoa(records/2+i)))
		of("记录: the page").timed(qian, to, nil)
	}
	wu := c.signIn("wu", "")
	for range times {
		to, _ := of("运行状况: the call").timed(wu, "/console/node", wu.get("/console/node").Form("/console/node"))
		of("运行状况: the page").timed(wu, to, nil)
	}
	nobody := c.browser()
	for range times {
		of("/v/").timed(nobody, "/v/7ZK3M9Q2T8WX4C6V1B5N0GHJDR", nil)
	}
	signer, err := install.IdentitySigner(c.setup, c.keys, "citizen-identity")
	c.must(err)
	portal := c.as("citizen-portal").As(shop.Legal.Code).Vouched(func(ctx context.Context, binding client.ActorBinding) (string, error) {
		return token.SignActor(ctx, signer, token.ActorClaims{Issuer: "citizen-identity", Audience: binding.Gateway, System: binding.System, Subject: binding.Operator, Request: binding.Request}, time.Now())
	})
	held := of("近 12 个月: holders.accesses")
	for range times {
		begun, spent := time.Now(), processorTime()
		_, err := portal.Call(t.Context(), "holders.accesses", nil, fmt.Appendf(nil, `{"holder":{"type":"001","code":"%s"},"as":"legal_representative"}`, shop.Code))
		c.must(err)
		held.wall, held.cpu = append(held.wall, time.Since(begun)), append(held.cpu, processorTime()-spent)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n| page | requests | wall p50 ms | wall p95 ms | processor p50 ms | processor p95 ms |\n|---|--:|--:|--:|--:|--:|\n")
	for _, g := range gauges {
		fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %.1f | %.1f |\n", g.name, len(g.wall), percentile(g.wall, 50), percentile(g.wall, 95), percentile(g.cpu, 50), percentile(g.cpu, 95))
	}
	t.Log(b.String())
}
