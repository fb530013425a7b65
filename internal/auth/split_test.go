package auth

import (
	"fmt"
	"testing"
)

func TestSplit_ByNameAndShare(t *testing.T) {
	listed, err := NewSplit(0, []string{"Ada", "bob@Example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"ada": true, "ADA": true, "bob@example.com": true, "bob": false, "": false, "a\x00": false} {
		if listed.Ours(name) != want {
			t.Errorf("%q is ours: %v", name, !want)
		}
	}
	ours := 0
	var ten, half, all Split
	for split, percent := range map[*Split]int{&ten: 10, &half: 50, &all: 100} {
		if *split, err = NewSplit(percent, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2000 {
		name := fmt.Sprintf("user%d@example.com", i)
		if half.Ours(name) {
			ours++
		}
		if ten.Ours(name) && !half.Ours(name) || !all.Ours(name) || listed.Ours(name) {
			t.Errorf("%s changes sides", name)
		}
	}
	if ours < 850 || ours > 1150 {
		t.Errorf("half are %d of 2000", ours)
	}
	for _, percent := range []int{-1, 101} {
		if _, err := NewSplit(percent, nil); err == nil {
			t.Errorf("%d percent", percent)
		}
	}
	if _, err := NewSplit(0, []string{"a b\x00"}); err == nil {
		t.Error("a name that is none")
	}
}
