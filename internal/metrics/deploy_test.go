package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	asked     = regexp.MustCompile(`\bostiary_[a-z_]+`)
	histogram = regexp.MustCompile(`_(bucket|sum|count)$`)
	matchers  = regexp.MustCompile(`\b(ostiary_[a-z_]+)\{([^}]*)\}`)
	byLabels  = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// known sees that an expression asks for metrics, and labels of them, that there are.
func known(t *testing.T, all map[string][2]string, where, expr string) {
	t.Helper()
	found := asked.FindAllString(expr, -1)
	labels := map[string]bool{"instance": true, "job": true, "le": true}
	for _, name := range found {
		about, there := all[name]
		if !there {
			about, there = all[histogram.ReplaceAllString(name, "")]
		}
		if !there {
			t.Errorf("%s asks for %s, which does not exist", where, name)
		}
		for label := range strings.SplitSeq(about[1], ",") {
			labels[label] = true
		}
	}
	use := func(label string) {
		if !labels[label] {
			t.Errorf("%s asks for the label %q, which %v do not have", where, label, found)
		}
	}
	for _, m := range matchers.FindAllStringSubmatch(expr, -1) {
		for matcher := range strings.SplitSeq(m[2], ",") {
			label, _, _ := strings.Cut(matcher, "=")
			use(strings.TrimRight(label, "!"))
		}
	}
	for _, m := range byLabels.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ", ") {
			use(label)
		}
	}
}

func TestDashboard_Panels(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/ostiary.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID string
		Panels     []struct {
			ID          int
			Type, Title string
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ RefID, Expr, LegendFormat string }
			GridPos     struct{ H, W, X, Y int }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all, shown, ids := described(t), map[string]bool{}, map[int]bool{}
	rules := "groups:\n- name: panels\n  rules:\n"
	for _, p := range board.Panels {
		if p.Title == "" || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q has no unit, or asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			if q.Expr == "" || q.RefID == "" || q.LegendFormat == "" || strings.Count(q.Expr, "(") != strings.Count(q.Expr, ")") {
				t.Errorf("panel %q: %+v", p.Title, q)
			}
			known(t, all, "panel "+p.Title, q.Expr)
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(q.Expr)
			rules += fmt.Sprintf("  - record: panel:x%d%s\n    expr: %q\n", p.ID, q.RefID, expr)
			for _, name := range asked.FindAllString(q.Expr, -1) {
				shown[name], shown[histogram.ReplaceAllString(name, "")] = true, true
			}
		}
	}
	for name := range all {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
	if len(board.Panels) < 20 || board.Title != "Ostiary" {
		t.Errorf("%d panels of %q", len(board.Panels), board.Title)
	}
	path := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, path)
}

func TestAlerts_Rules(t *testing.T) {
	const path = "../../deploy/prometheus/alerts.yml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Split(string(text), "      - alert: ")[1:]
	part := func(rule, key string) string {
		m := regexp.MustCompile(`(?m)^ +` + key + `: (.+)$`).FindStringSubmatch(rule)
		if m == nil {
			return ""
		}
		return m[1]
	}
	all, names := described(t), map[string]bool{}
	for _, rule := range rules {
		name, _, _ := strings.Cut(rule, "\n")
		expr := part(rule, "expr")
		if names[name] || !strings.HasPrefix(name, "Ostiary") || expr == "" || part(rule, "summary") == "" || part(rule, "labels") == "" {
			t.Errorf("rule %s is not whole", name)
		}
		names[name] = true
		if runbook := part(rule, "runbook"); len(runbook) < 40 || !strings.HasSuffix(runbook, ".") {
			t.Errorf("rule %s does not say what to do: %q", name, runbook)
		}
		known(t, all, "rule "+name, expr)
	}
	if len(rules) < 10 {
		t.Errorf("%d rules", len(rules))
	}
	promtool(t, path)
}

// promtool reads rules as Prometheus does, where it is installed.
func promtool(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		return
	}
	if out, err := exec.Command("promtool", "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
