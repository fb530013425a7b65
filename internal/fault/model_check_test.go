package fault_test

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The models tell right histories from wrong ones: else they would show nothing.
func TestModels_RefuseWhatIsWrong(t *testing.T) {
	const ms = int64(time.Millisecond)
	op := func(from, to int64, input, output any) porcupine.Operation {
		if in, ok := input.(refreshing); ok {
			in.sent = span{time.Duration(from * ms), time.Duration(to * ms)}
			input = in
		}
		return porcupine.Operation{Input: input, Call: from * ms, Output: output, Return: to * ms}
	}
	next := func(n int64) refreshed { return refreshed{passed, n} }
	gen := func(n int64) refreshing { return refreshing{generation: n} }
	no := refreshed{result: denied}
	chains, codes := chainModel(time.Second), stepModel(5)
	for name, c := range map[string]struct {
		model porcupine.Model
		right bool
		ops   []porcupine.Operation
	}{
		"a chain":                         {chains, true, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(2, 3, gen(1), next(2)), op(4, 5, gen(1), next(2))}},
		"at once, the same":               {chains, true, []porcupine.Operation{op(0, 3, gen(0), next(1)), op(1, 2, gen(0), next(1))}},
		"two successors":                  {chains, false, []porcupine.Operation{op(0, 3, gen(0), next(1)), op(1, 2, gen(0), next(2))}},
		"a chain that forks":              {chains, false, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(2, 3, gen(1), next(2)), op(4, 5, gen(0), next(1))}},
		"a theft that ends nothing":       {chains, false, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(2, 3, gen(1), next(2)), op(4, 5, gen(0), no), op(6, 7, gen(2), next(3))}},
		"a theft":                         {chains, true, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(2, 3, gen(1), next(2)), op(4, 5, gen(0), no), op(6, 7, gen(2), no)}},
		"an honest retry is a theft":      {chains, false, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(2, 3, gen(0), no)}},
		"a retry that is late":            {chains, true, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(1500, 1501, gen(0), no)}},
		"a late retry that passes":        {chains, false, []porcupine.Operation{op(0, 1, gen(0), next(1)), op(1500, 1501, gen(0), next(1))}},
		"no answer, and it was made":      {chains, true, []porcupine.Operation{op(0, 9999, gen(0), refreshed{}), op(2, 3, gen(0), next(1)), op(4, 5, gen(1), next(2))}},
		"no answer, and it was made late": {chains, true, []porcupine.Operation{op(0, 9999, gen(0), refreshed{}), op(2, 3, gen(0), next(1))}},
		"an ended session goes on":        {chains, false, []porcupine.Operation{op(0, 1, gen(0), no)}},

		"steps":                     {codes, true, []porcupine.Operation{op(0, 1, coding{7, true}, passed), op(2, 3, coding{7, true}, denied), op(4, 5, coding{8, true}, passed)}},
		"a code twice":              {codes, false, []porcupine.Operation{op(0, 3, coding{7, true}, passed), op(1, 2, coding{7, true}, passed)}},
		"a step that is earlier":    {codes, false, []porcupine.Operation{op(0, 1, coding{8, true}, passed), op(2, 3, coding{7, true}, passed)}},
		"at once, the earlier one":  {codes, true, []porcupine.Operation{op(0, 3, coding{8, true}, passed), op(1, 2, coding{7, true}, passed)}},
		"a good code is refused":    {codes, false, []porcupine.Operation{op(0, 1, coding{8, true}, denied)}},
		"a code that may be late":   {codes, true, []porcupine.Operation{op(0, 1, coding{8, false}, denied)}},
		"no answer, and it counted": {codes, true, []porcupine.Operation{op(0, 9999, coding{8, true}, unanswered), op(2, 3, coding{8, true}, denied)}},

		"a ticket":               {ticketModel, true, []porcupine.Operation{op(0, 1, redeeming{0, -1}, denied), op(2, 3, redeeming{0, 1}, passed), op(4, 5, redeeming{0, 2}, denied), op(6, 7, redeeming{1, 2}, passed)}},
		"a ticket twice":         {ticketModel, false, []porcupine.Operation{op(0, 3, redeeming{0, 1}, passed), op(1, 2, redeeming{0, 2}, passed)}},
		"a recovery code twice":  {ticketModel, false, []porcupine.Operation{op(0, 3, redeeming{0, 1}, passed), op(1, 2, redeeming{1, 1}, passed)}},
		"no ticket, but a code":  {ticketModel, false, []porcupine.Operation{op(0, 1, redeeming{0, 1}, passed), op(2, 3, redeeming{0, 2}, denied), op(4, 5, redeeming{1, 2}, denied)}},
		"the sixth guess passes": {ticketModel, false, append(repeat(5, op(0, 1, redeeming{0, -1}, denied)), op(9, 10, redeeming{0, 1}, passed))},
		"the fifth one passes":   {ticketModel, true, append(repeat(4, op(0, 1, redeeming{0, -1}, denied)), op(9, 10, redeeming{0, 1}, passed))},

		"a budget":               {budgetModel(2), true, []porcupine.Operation{op(0, 1, guessing(false), denied), op(0, 1, guessing(false), denied), op(2, 3, guessing(true), throttled)}},
		"one guess more":         {budgetModel(2), false, repeat(3, op(0, 1, guessing(false), denied))},
		"a right one after that": {budgetModel(2), false, append(repeat(2, op(0, 1, guessing(false), denied)), op(2, 3, guessing(true), passed))},
		"too early a stop":       {budgetModel(2), false, []porcupine.Operation{op(0, 1, guessing(false), denied), op(2, 3, guessing(false), throttled)}},
		"a right one is refused": {budgetModel(2), false, []porcupine.Operation{op(0, 1, guessing(true), denied)}},
		"success clears nothing": {budgetModel(2), false, []porcupine.Operation{op(0, 1, guessing(false), denied), op(2, 3, guessing(true), passed), op(4, 5, guessing(false), denied), op(6, 7, guessing(false), denied)}},
	} {
		if got := porcupine.CheckOperations(c.model, c.ops); got != c.right {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func repeat(n int, op porcupine.Operation) (list []porcupine.Operation) {
	for range n {
		list = append(list, op)
	}
	return list
}
