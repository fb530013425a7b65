package metrics

import (
	"bytes"
	"compress/gzip"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The formats that are spoken: Prometheus' text, and OpenMetrics.
const (
	typeText        = "text/plain; version=0.0.4; charset=utf-8"
	typeOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// write answers with what was gathered, as the client takes it.
func write(w http.ResponseWriter, r *http.Request, all []*gathered) {
	t := text{open: takesOpen(r.Header["Accept"])}
	for _, g := range all {
		t.family(g)
	}
	w.Header().Set("Content-Type", typeText)
	if t.open {
		t.b.WriteString("# EOF\n")
		w.Header().Set("Content-Type", typeOpenMetrics)
	}
	w.Header().Add("Vary", "Accept, Accept-Encoding")
	body := t.b.Bytes()
	if takesGzip(r.Header["Accept-Encoding"]) {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(body) // a buffer takes all
		_ = z.Close()
		w.Header().Set("Content-Encoding", "gzip")
		body = packed.Bytes()
	}
	_, _ = w.Write(body)
}

// text is what is written.
type text struct {
	b    bytes.Buffer
	open bool // by the rules of OpenMetrics
}

var (
	helpText   = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// family writes the lines of one name. OpenMetrics names a counter without its _total.
func (t *text) family(g *gathered) {
	name := g.name
	if t.open && g.kind == kindCounter {
		name = strings.TrimSuffix(name, "_total")
	}
	help := helpText.Replace(g.help)
	if t.open {
		help = strings.ReplaceAll(help, `"`, `\"`)
	}
	t.b.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + g.kind + "\n")
	lines := make([]string, len(g.samples))
	for i, s := range g.samples {
		lines[i] = t.sample(g.family, s)
	}
	slices.Sort(lines)
	for _, line := range lines {
		t.b.WriteString(line)
	}
}

func (t *text) sample(f *family, s sample) string {
	pairs := make([]string, len(f.labels))
	for i, name := range f.labels {
		pairs[i] = name + `="` + labelValue.Replace(s.labels[i]) + `"`
	}
	slices.Sort(pairs)
	if s.spread == nil {
		return line(f.name+s.suffix, pairs, s.value)
	}
	var b strings.Builder
	count := uint64(0)
	for i := range s.spread.counts {
		count += s.spread.counts[i].Load()
		bound := math.Inf(1)
		if i < len(s.spread.bounds) {
			bound = s.spread.bounds[i]
		}
		le := number64(bound)
		if t.open && bound == math.Trunc(bound) && !math.IsInf(bound, 0) {
			le += ".0"
		}
		b.WriteString(line(f.name+"_bucket", append(slices.Clip(pairs), `le="`+le+`"`), float64(count)))
	}
	b.WriteString(line(f.name+"_sum", pairs, math.Float64frombits(s.spread.sum.Load())))
	b.WriteString(line(f.name+"_count", pairs, float64(count)))
	return b.String()
}

func line(name string, pairs []string, value float64) string {
	if len(pairs) > 0 {
		name += "{" + strings.Join(pairs, ",") + "}"
	}
	return name + " " + number64(value) + "\n"
}

func number64(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
