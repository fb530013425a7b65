package order

import (
	"cmp"
	"maps"
	"slices"
	"testing"
)

func TestOrder(t *testing.T) {
	type pair struct{ a, b int }
	list := []pair{{3, 0}, {1, 1}, {3, 2}, {1, 3}, {2, 4}}
	byA := func(x, y pair) int { return cmp.Compare(x.a, y.a) }
	Stable(list, byA)
	if want := []pair{{1, 1}, {1, 3}, {2, 4}, {3, 0}, {3, 2}}; !slices.Equal(list, want) {
		t.Errorf("%v", list)
	}
	By(list, func(x, y pair) int { return cmp.Compare(y.b, x.b) })
	if want := []pair{{2, 4}, {1, 3}, {3, 2}, {1, 1}, {3, 0}}; !slices.Equal(list, want) {
		t.Errorf("%v", list)
	}
	if got := All(maps.Keys(map[pair]int{{2, 0}: 1, {1, 0}: 1, {3, 0}: 1}), byA); !slices.Equal(got, []pair{{1, 0}, {2, 0}, {3, 0}}) {
		t.Errorf("%v", got)
	}
}
