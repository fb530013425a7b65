package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestThreats_Fast runs the attacks that take no times and need no machine to themselves.
func TestThreats_Fast(t *testing.T) {
	b, err := newBase(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	chosen, err := choose(catalogue, "", true)
	if err != nil || len(chosen) == 0 {
		t.Fatal(chosen, err)
	}
	for _, threat := range chosen {
		t.Run(fmt.Sprintf("%02d %s", threat.number, threat.name), func(t *testing.T) {
			t.Parallel()
			w := b.world(t.Context())
			defer func() {
				if err := w.close(); err != nil {
					t.Error(err)
				}
			}()
			figure, err := w.attack(threat)
			if err != nil {
				t.Errorf("%v\n%s", err, w.logs())
			}
			t.Log(figure)
		})
	}
}

// An attack that finds something, or can't begin, does not hold, and the run fails.
func TestRun_Verdicts(t *testing.T) {
	b := &base{dir: t.TempDir(), binary: "none"}
	for name, attack := range map[string]func(*world) (string, error){
		"found": func(*world) (string, error) {
			f := findings{}
			f.want("x", answer{status: 500}, 200)
			return "", f.err()
		},
		"unprepared": func(w *world) (string, error) { w.serve(); return "", nil },
		"not run":    func(*world) (string, error) { return "", fmt.Errorf("%w: needs root", errNotRun) },
		"held":       func(*world) (string, error) { return "1", nil },
	} {
		w := b.world(t.Context())
		_, err := w.attack(threat{run: attack})
		if (err == nil) != (name == "held") || errors.Is(err, errNotRun) != (name == "not run") {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCatalogue_Numbers(t *testing.T) {
	seen := map[int]bool{}
	for _, threat := range catalogue {
		if seen[threat.number] || threat.number < 1 || threat.number > 70 || threat.name == "" || threat.run == nil {
			t.Errorf("%+v", threat)
		}
		seen[threat.number] = true
	}
	for only, want := range map[string]string{
		"14,x": `"x" is no number of docs/threat-model.md`, "14,": `"" is no number`, "71": `"71" is no number`, "0": `"0" is no number`,
		"19": "19 is not tried from outside: docs/threat-model.md names its tests",
	} {
		if _, err := choose(catalogue, only, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-only %s: %v, want %s", only, err, want)
		}
	}
	page, err := os.ReadFile("../../docs/threat-model.md")
	if tried := fmt.Sprintf(", %d of them,", len(catalogue)); !strings.Contains(string(page), tried) {
		t.Errorf("docs/threat-model.md does not say%s", tried)
	}
	if err != nil || !strings.Contains(string(page), fmt.Sprintf("\n| %d | ", last)) || strings.Contains(string(page), fmt.Sprintf("\n| %d | ", last+1)) {
		t.Errorf("the last number of the threat model is not %d: %v", last, err)
	}
	if chosen, err := choose(catalogue, "14,3", false); err != nil || len(chosen) != 2 || chosen[0].number != 3 {
		t.Error(chosen, err)
	}
}
