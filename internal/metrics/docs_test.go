package metrics

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// described are the names, help texts and labels of all metrics that are our own.
func described(t *testing.T) map[string][2]string {
	t.Helper()
	m := New("v0", Sources{})
	all := map[string][2]string{}
	for _, f := range append(slices.Collect(maps.Keys(m.registry.counted)), scraped...) {
		all[f.name] = [2]string{f.help, strings.Join(f.labels, ",")}
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
	for _, f := range m.registry.gather() {
		if !strings.HasPrefix(f.name, "ostiary_") {
			continue
		}
		if strings.HasSuffix(f.name, "_total") != (f.kind == kindCounter) {
			t.Errorf("%s is a %s", f.name, f.kind)
		}
		if f.kind == kindHistogram && f.name != "ostiary_store_batch_transactions" && !strings.HasSuffix(f.name, "_seconds") {
			t.Errorf("%s is a histogram without a unit", f.name)
		}
		if len(f.help) < 10 || !strings.HasSuffix(f.help, ".") {
			t.Errorf("%s: %q", f.name, f.help)
		}
		for _, l := range f.labels {
			if slices.Contains([]string{"path", "host", "name", "username", "address", "account"}, l) {
				t.Errorf("%s has the label %s", f.name, l)
			}
		}
	}
}
