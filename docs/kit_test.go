package docs_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"
)

// An alert is one alerting rule of deploy/prometheus/alerts.yaml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) (list []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string  `yaml:"name"`
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	must(t, yaml.UnmarshalWithOptions([]byte(read(t, "../deploy/prometheus/alerts.yaml")), &file, yaml.Strict()))
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) < 20 {
		t.Fatalf("only %d alerts", len(list))
	}
	return list
}

// TestAlerts: every alert rests on metrics that the program has, links to its section of the manual, and has a test.
func TestAlerts(t *testing.T) {
	metrics := declaredMetrics(t)
	headings, tested := anchors(t, "operations.md"), read(t, "../deploy/prometheus/alerts_test.yaml")
	known := make(map[string]bool)
	for _, a := range alerts(t) {
		known[strings.ToLower(a.Alert)] = true
		unknownMetrics(t, "alert "+a.Alert, a.Expr, metrics)
		section, ok := strings.CutPrefix(a.Annotations["runbook_url"], "file:///usr/share/doc/oncegate/operations.md#")
		if !ok || section != strings.ToLower(a.Alert) || !slices.Contains(headings, section) {
			t.Errorf("%s: %q is no section of operations.md", a.Alert, a.Annotations["runbook_url"])
		}
		if a.Annotations["summary"] == "" || a.Annotations["summary_zh"] == "" || a.Labels["severity"] != "page" && a.Labels["severity"] != "ticket" {
			t.Errorf("%s lacks a summary or a severity: %v %v", a.Alert, a.Annotations, a.Labels)
		}
		if !strings.Contains(tested, "alertname: "+a.Alert+"\n") {
			t.Errorf("alerts_test.yaml does not test %s", a.Alert)
		}
	}
	for _, heading := range headings {
		if strings.HasPrefix(heading, "oncegate") && !strings.ContainsAny(heading, "-") && !known[heading] {
			t.Errorf("operations.md has a section for the alert %s, which is not there", heading)
		}
	}
}

// TestRules has Prometheus's own tool check the rules and run their tests.
func TestRules(t *testing.T) {
	promtool := os.Getenv("ONCEGATE_TEST_PROMTOOL")
	if promtool == "" {
		t.Skip("ONCEGATE_TEST_PROMTOOL is not set")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestDashboard: Grafana can read the dashboard, every panel asks for something, and every metric in it exists.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Title  string `json:"title"`
		UID    string `json:"uid"`
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			GridPos struct {
				X int `json:"x"`
				W int `json:"w"`
			} `json:"gridPos"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Name  string `json:"name"`
				Query any    `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	text := read(t, "../deploy/grafana/oncegate.json")
	must(t, json.Unmarshal([]byte(text), &dashboard))
	metrics := declaredMetrics(t)
	unknownMetrics(t, "the dashboard", text, metrics)
	ids, panels := make(map[int]bool), 0
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("panel %d is there twice", p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		panels++
		if len(p.Targets) == 0 || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q asks for nothing or does not fit: %+v", p.Title, p.GridPos)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, "$instance") {
				t.Errorf("panel %q does not follow the choice of nodes: %s", p.Title, target.Expr)
			}
		}
	}
	if panels < 20 || dashboard.UID != "oncegate" {
		t.Errorf("%d panels, uid %q", panels, dashboard.UID)
	}
}

var metricNames = regexp.MustCompile(`\boncegate_[a-z0-9_]+`)

// unknownMetrics reports metrics in an expression that the program does not have.
func unknownMetrics(t *testing.T, where, text string, declared map[string]string) {
	t.Helper()
	for _, name := range metricNames.FindAllString(text, -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} { // of a histogram
			if cut, ok := strings.CutSuffix(name, suffix); ok && strings.HasSuffix(cut, "_seconds") {
				base = cut
			}
		}
		if _, ok := declared[base]; !ok {
			t.Errorf("%s: the program has no metric %s", where, name)
		}
	}
}
