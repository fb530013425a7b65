package auth_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
)

// TestThreat02_EnumerationByTime takes the time of failed logins of every kind, in turns,
// and sees by a rank test that none can be told from a wrong password.
func TestThreat02_EnumerationByTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the time of 2,100 logins")
	}
	w := newWorld(t)
	w.account("wrong")
	if err := w.svc.SetDisabled(w.ctx, w.realm.ID, w.account("disabled").ID, true, client); err != nil {
		t.Fatal(err)
	}
	for name, hash := range map[string]string{
		"passwordless": "",
		"cheap":        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"bcrypt":       "$2b$04$abcdefghijklmnopqrstuuS7n4K1kZvJ8d4l9ZkT5sK0T9kQ0s9Uy",
	} {
		if _, err := w.create(auth.NewAccount{Username: name, PasswordHash: hash, NoPassword: hash == ""}); err != nil {
			t.Fatal(err)
		}
	}
	const old = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$"
	factor, err := w.create(auth.NewAccount{Username: "factor", PasswordHash: old + argon2Tag(t, goodPassword, "somesaltsomesalt", 1, 64)})
	if err != nil {
		t.Fatal(err)
	}
	w.enroll(factor) // whose right password is refused without its code
	kinds := []failure{
		{"wrong", "wrong password"}, {"unknown", "wrong password"}, {"disabled", goodPassword},
		{"passwordless", "wrong password"}, {"cheap", "wrong password"}, {"bcrypt", "wrong password"}, {"factor", goodPassword},
	}
	// A machine that is busy with something else can take longer than the floor, and then
	// shows what a kind costs. What the server itself tells, it tells each time.
	const rounds = 3
	for round := 1; ; round++ {
		told := tellTale(t, w, kinds)
		if len(told) == 0 || t.Failed() {
			return
		}
		if round == rounds {
			t.Fatalf("told by their time, %d times in a row: %v", rounds, told)
		}
	}
}

// failure is a login that fails.
type failure struct{ name, password string }

// tellTale returns the kinds, but for the first, whose time tells them from the first.
func tellTale(t *testing.T, w *world, kinds []failure) (told []string) {
	t.Helper()
	times := failures(t, w, kinds)
	for i, k := range kinds[1:] {
		if t.Failed() {
			return nil
		}
		// The chance that a sample of the one is slower than one of the other: 0.5 if
		// nothing tells them apart. Its standard error with these samples is 0.024.
		auc := rank(times[0], times[i+1])
		t.Logf("%s against wrong password: %.3f (medians %.2f and %.2f ms)", k.name, auc, median(times[i+1])*1e3, median(times[0])*1e3)
		if math.Abs(auc-0.5) > 0.12 {
			told = append(told, k.name)
		}
	}
	return told
}

// failures takes the times of failed logins. Most of one is waiting for the floor, so
// several people fail at once. Each takes the kinds in an order of its own: none always
// stands behind the same other one.
func failures(t *testing.T, w *world, kinds []failure) [][]float64 {
	const people, samples = 4, 300
	times := make([][]float64, len(kinds))
	var mu sync.Mutex
	var all sync.WaitGroup
	for range people {
		all.Go(func() {
			for range samples / people {
				for _, i := range rand.Perm(len(kinds)) {
					start := time.Now()
					_, err := w.svc.SignIn(w.ctx, w.one, creds(kinds[i].name, kinds[i].password), client)
					took := time.Since(start).Seconds()
					if auth.CodeOf(err) != auth.CodeBadCredentials {
						t.Errorf("%s: %v", kinds[i].name, err)
						return
					}
					mu.Lock()
					times[i] = append(times[i], took)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return times
}

// rank is the Mann-Whitney statistic as a share: how often a value of b is above one of a.
func rank(a, b []float64) float64 {
	above := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case y > x:
				above++
			case y == x:
				above += 0.5
			}
		}
	}
	return above / float64(len(a)*len(b))
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
