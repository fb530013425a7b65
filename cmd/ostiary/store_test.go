package main

import "testing"

// Whoever is root has been let by sudo to be so; all others can only say that they were.
func TestOperator_BelievesSudoOfRoot(t *testing.T) {
	for _, c := range []struct {
		uid              int
		name, sudo, want string
	}{
		{0, "root", "ada", "ada as root"},
		{0, "root", "", "root"},
		{1000, "eve", "ada", "eve"},
		{-1, "eve", "", "eve"},
	} {
		if got := who(c.uid, c.name, c.sudo); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
