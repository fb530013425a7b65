// Package order sorts as package slices does. What slices has is compiled anew for each type,
// some 30 KB of the program each time; this is compiled once.
package order

import (
	"iter"
	"slices"
	"sort"
)

// By sorts a list.
func By[E any](list []E, compare func(a, b E) int) {
	sort.Slice(list, func(i, j int) bool { return compare(list[i], list[j]) < 0 })
}

// Stable sorts a list, and leaves what is equal in its order.
func Stable[E any](list []E, compare func(a, b E) int) {
	sort.SliceStable(list, func(i, j int) bool { return compare(list[i], list[j]) < 0 })
}

// All gathers values into a sorted list.
func All[E any](values iter.Seq[E], compare func(a, b E) int) []E {
	list := slices.Collect(values)
	By(list, compare)
	return list
}
