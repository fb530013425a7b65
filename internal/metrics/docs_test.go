package metrics

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// described are the names, help texts and labels of all metrics that are our own.
func described(t *testing.T) map[string][2]string {
	t.Helper()
	m := New("v0", Sources{})
	descs := make(chan *prometheus.Desc)
	go func() {
		m.registry.Describe(descs)
		close(descs)
	}()
	all := map[string][2]string{}
	pattern := regexp.MustCompile(`^Desc\{fqName: "([a-z_]+)", help: "([^"]*)", unit: "[a-z]*", constLabels: \{\}, variableLabels: \{([a-z,]*)\}\}$`)
	for d := range descs {
		if !strings.Contains(d.String(), `"ostiary_`) {
			continue
		}
		found := pattern.FindStringSubmatch(d.String())
		if found == nil {
			t.Fatal(d)
		}
		all[found[1]] = [2]string{found[2], found[3]}
	}
	if len(all) < 30 {
		t.Fatalf("%d metrics", len(all))
	}
	return all
}

// The page has each metric with its labels, and none that is not there.
func TestDocs_NameEveryMetric(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(ostiary_[a-z_]+)` \\| (counter|gauge|histogram) \\| ([^|]*) \\| [^|]+ \\|$").FindAllStringSubmatch(string(page), -1) {
		var labels []string
		for _, label := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		rows[row[1]] = strings.Join(labels, ",")
	}
	all := described(t)
	for name, about := range all {
		labels, there := rows[name]
		if !there {
			t.Errorf("docs/metrics.md does not have %s: %s", name, about[0])
		} else if labels != about[1] {
			t.Errorf("docs/metrics.md gives %s the labels %q, it has %q", name, labels, about[1])
		}
	}
	for name := range rows {
		if _, there := all[name]; !there {
			t.Errorf("docs/metrics.md has %s, which does not exist", name)
		}
	}
}

// Names are as Prometheus' conventions ask: counters end in _total, times are in seconds,
// and each has a sentence of help.
func TestNames_Conventions(t *testing.T) {
	m := New("v0", full)
	m.Login("cloudio", "signed_in")
	m.Refreshed("senmo", "rotated")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "ostiary_") {
			continue
		}
		kind := f.GetType().String()
		if strings.HasSuffix(name, "_total") != (kind == "COUNTER") {
			t.Errorf("%s is a %s", name, kind)
		}
		if kind == "HISTOGRAM" && name != "ostiary_store_batch_transactions" && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s is a histogram without a unit", name)
		}
		if help := f.GetHelp(); len(help) < 10 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: %q", name, help)
		}
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if slices.Contains([]string{"path", "host", "name", "username", "address", "account"}, l.GetName()) {
					t.Errorf("%s has the label %s", name, l.GetName())
				}
			}
		}
	}
}
