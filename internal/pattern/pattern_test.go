package pattern_test

import (
	"slices"
	"testing"

	"github.com/ostiary/ostiary/internal/pattern"
)

func TestPattern_CompiledWhenAsked(t *testing.T) {
	p := pattern.New(`^(a+)(b*)$`)
	if !p.MatchString("aab") || p.MatchString("ba") || !slices.Equal(p.FindStringSubmatch("aab"), []string{"aab", "aa", "b"}) {
		t.Error("not matched as a regular expression is")
	}
	if least := testing.AllocsPerRun(10, func() { pattern.New(`^[a-z]{1,1000}$`) }); least > 10 {
		t.Errorf("making one takes %v allocations, as if it were compiled", least)
	}
	defer func() {
		if recover() == nil {
			t.Error("asked one that is not well formed")
		}
	}()
	pattern.New(`(`).MatchString("")
}
