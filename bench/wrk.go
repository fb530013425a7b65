package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"time"
)

// wrkLoad is wrk's threads, and its connections that stay open.
func wrkLoad() string {
	return fmt.Sprintf("-t%d -c%d", loadThreads(), max(loadThreads(), connections))
}

// wrk is the program of that name, asking one question. It costs less of the cores that
// it shares with the server than a client in Go does.
type wrk struct {
	program string
	args    []string // after the duration
}

// wrkScript makes wrk ask, and then say on standard error how many answers it had, in how
// many µs, how many requests failed, and how often each latency was seen. These latencies
// are wrk's: it adds those of the requests that a slow answer kept from being sent.
const wrkScript = `wrk.method = %q
wrk.body = %q
function done(summary, latency)
  local e = summary.errors
  io.stderr:write(summary.requests, " ", summary.duration, " ", e.connect + e.read + e.write + e.status + e.timeout, "\n")
  for i = 1, #latency do
    local us, times = latency(i)
    io.stderr:write(us, " ", times, "\n")
  end
end
`

// wrkChoice makes wrk ask one of several questions, by chance. They are put together before
// the first is asked.
const wrkChoice = `local requests = {}
function init()
  for _, q in ipairs({
%s  }) do
    wrk.headers["Authorization"] = q[1]
    requests[#requests + 1] = wrk.format(nil, nil, nil, q[2])
  end
end
function request()
  return requests[math.random(#requests)]
end
`

// newWrk prepares wrk to ask questions that differ in no more than their credential and form.
func newWrk(program, dir, address string, list ...question) (*wrk, error) {
	q := list[0]
	script, err := os.CreateTemp(dir, "wrk-*.lua")
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(wrkScript, q.method, q.form)
	if len(list) > 1 {
		var choice strings.Builder
		for _, q := range list {
			fmt.Fprintf(&choice, "    {%q, %q},\n", q.authorization, q.form)
		}
		text += fmt.Sprintf(wrkChoice, choice.String())
	}
	if _, err := script.WriteString(text); err != nil {
		return nil, errors.Join(err, script.Close())
	}
	w := &wrk{program, append(strings.Fields(wrkLoad()), "-s", script.Name(), "-H", "Authorization: "+q.authorization)}
	if q.form != "" {
		w.args = append(w.args, "-H", "Content-Type: "+formType)
	}
	w.args = append(w.args, "http://"+address+q.path)
	return w, script.Close()
}

// run lets wrk work for a while, in whole seconds.
func (w *wrk) run(ctx context.Context, d time.Duration) (sample, error) {
	seconds := max(1, math.Round(d.Seconds()))
	cmd := exec.CommandContext(ctx, w.program, append([]string{fmt.Sprintf("-d%.0fs", seconds)}, w.args...)...)
	var report bytes.Buffer
	cmd.Stderr = &report
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("wrk: %w: %.500s", err, report.String())
	}
	return readWrk(&report)
}

// readWrk reads what the script has written.
func readWrk(report *bytes.Buffer) (s sample, err error) {
	var micros, failed, latency, times int
	if _, err := fmt.Fscanln(report, &s.done, &micros, &failed); err != nil {
		return s, fmt.Errorf("a report of wrk that is not the script's: %w", err)
	}
	if failed > 0 || s.done == 0 {
		return s, fmt.Errorf("%d of wrk's requests failed, %d were answered", failed, s.done)
	}
	s.took = time.Duration(micros) * time.Microsecond
	for {
		switch _, err := fmt.Fscanln(report, &latency, &times); {
		case errors.Is(err, io.EOF):
			return s, nil
		case err != nil:
			return s, fmt.Errorf("a report of wrk that is not the script's: %w", err)
		}
		for range times {
			s.latency = append(s.latency, time.Duration(latency)*time.Microsecond)
		}
	}
}
