package fault_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What follows are the sequential specifications: how each thing behaves if requests come
// one after the other. A recorded history is right if some order of its overlapping
// requests is one that the specification allows.

// result is the answer to a request of a history.
type result int

const (
	unanswered result = iota // made at some moment after it was sent, or never
	passed
	denied
	throttled
)

func (r result) String() string { return [...]string{"no answer", "passed", "denied", "throttled"}[r] }

// refreshing presents a generation of a refresh token.
type refreshing struct {
	generation int64
	sent       span
}

// span is when a request ran, since the beginning of the history.
type span struct{ from, to time.Duration }

// refreshed is its answer, with the generation that it brought.
type refreshed struct {
	result
	next int64
}

// chain is a session's chain of refresh tokens.
type chain struct {
	living  int64
	rotated span // of the refresh that began it
	ended   bool
}

// chainModel: the living generation brings its successor; the one before brings the same
// successor again, for as long as a retry may come; every other one ends the session.
func chainModel(retry time.Duration) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return chain{} },
		Step: func(state, input, output any) (bool, any) {
			c, in, out := state.(chain), input.(refreshing), output.(refreshed)
			stolen := chain{living: c.living, rotated: c.rotated, ended: true}
			switch {
			case c.ended:
				return out.result != passed, c
			case in.generation == c.living:
				next := chain{living: c.living + 1, rotated: in.sent}
				return out.result == unanswered || out.result == passed && out.next == next.living, next
			case in.generation == c.living-1:
				late := in.sent.from-c.rotated.to > retry
				early := in.sent.to-c.rotated.from < retry
				switch out.result {
				case passed:
					return !late && out.next == c.living, c
				case denied:
					return !early, stolen
				}
				if late {
					return true, stolen
				}
				return true, c // the retry of these histories outlasts them
			}
			return out.result != passed, stolen
		},
	}
}

// coding presents the code of a time step.
type coding struct {
	step int64
	sure bool // the step was in reach, however long the request took
}

// stepModel: a step passes once, and no step passes after a later one, of those after the
// one that confirmed the factor.
func stepModel(confirmed int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return confirmed },
		Step: func(state, input, output any) (bool, any) {
			spent, in := state.(int64), input.(coding)
			switch output.(result) {
			case passed:
				return in.step > spent, in.step
			case denied:
				return in.step <= spent || !in.sure, spent
			}
			return true, max(spent, in.step)
		},
	}
}

const (
	ticketsOf = 3 // tickets of one account
	codesOf   = 10
)

// redeeming presents a ticket with a recovery code; -1: a code that is none.
type redeeming struct{ ticket, code int }

type pouch struct {
	spent [ticketsOf]bool
	wrong [ticketsOf]int
	codes [codesOf]bool // spent
}

// ticketModel: a ticket passes once, with a code that passes once, and dies of five wrong
// ones; a spent code is a wrong one.
var ticketModel = porcupine.Model{
	Init: func() any { return pouch{} },
	Step: func(state, input, output any) (bool, any) {
		p, in, out := state.(pouch), input.(redeeming), output.(result)
		if p.spent[in.ticket] || p.wrong[in.ticket] >= 5 {
			return out != passed, p
		}
		if in.code < 0 || p.codes[in.code] {
			p.wrong[in.ticket]++
			return out != passed, p
		}
		p.spent[in.ticket], p.codes[in.code] = true, true
		return out != denied, p
	},
}

// guessing is a right word, or a wrong one.
type guessing bool

// budgetModel: so many wrong words are free, and then nobody passes, whatever is right.
func budgetModel(free int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			wrong, right, out := state.(int), bool(input.(guessing)), output.(result)
			switch {
			case wrong >= free:
				return out == throttled || out == unanswered, wrong
			case right:
				return out == passed || out == unanswered, wrong
			}
			return out == denied || out == unanswered, wrong + 1
		},
	}
}

// history is what several clients did to one thing.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func newHistory() *history { return &history{began: time.Now()} }

// record runs one request, which says what it was and what came of it.
func (h *history) record(client int, run func() (input, output any)) {
	from := time.Since(h.began)
	input, output := run()
	to := time.Since(h.began)
	if in, ok := input.(refreshing); ok {
		in.sent = span{from, to}
		input = in
	}
	op := porcupine.Operation{ClientId: client, Input: input, Call: int64(from), Output: output, Return: int64(to)}
	if output == unanswered || output == (refreshed{result: unanswered}) {
		op.Return = int64(time.Hour) // whenever
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// check sees that a history is one that the model allows.
func (h *history) check(t *testing.T, m porcupine.Model) {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(m, h.ops, time.Minute) {
	case porcupine.Illegal:
		t.Fatalf("no order of these requests is right:\n%s", h)
	case porcupine.Unknown:
		t.Errorf("no answer in a minute about %d requests", len(h.ops))
	}
}

func (h *history) String() string {
	slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, op := range h.ops {
		fmt.Fprintf(&b, "client %d, %12v to %12v: %+v: %v\n", op.ClientId, time.Duration(op.Call), time.Duration(op.Return), op.Input, op.Output)
	}
	return b.String()
}
