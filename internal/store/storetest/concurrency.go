package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/throttle"
)

// racers is how many run at once in a race.
const racers = 32

var concurrencyCases = []testCase{
	{"UseStep", raceUseStep},
	{"UseSteps", raceUseSteps},
	{"RecoveryCode", raceRecoveryCode},
	{"SpendTicket", raceSpendTicket},
	{"TryTicket", raceTryTicket},
	{"EndSession", raceEndSession},
	{"RefreshRetries", raceRefreshRetries},
	{"RefreshTheft", raceRefreshTheft},
	{"NextNumber", raceNextNumber},
	{"Names", raceNames},
	{"RealmNames", raceRealmNames},
	{"Aliases", raceAliases},
	{"NumberAndAlias", raceNumberAndAlias},
	{"Rehash", raceRehash},
	{"ChargeBudget", raceChargeBudget},
	{"SignInAndDisable", raceSignInAndDisable},
	{"SignInAndPassword", raceSignInAndPassword},
	{"AddRole", raceAddRole},
	{"RoleAndMember", raceRoleAndMember},
	{"AccountAndRole", raceAccountAndRole},
	{"Grant", raceGrant},
}

func raceUseStep(w *world) {
	a := w.account("anna")
	w.wantErr("start", w.start(a.ID, 1, 0), nil)
	n := w.raceTx(racers, func(tx auth.Tx, _ int) (bool, error) { return tx.UseStep(w.ctx, a.ID, 5, w.now) })
	w.same("one step", n, 1)
}

// raceUseSteps spends several steps at once: each at most once, the last one for certain.
func raceUseSteps(w *world) {
	a := w.account("anna")
	w.wantErr("start", w.start(a.ID, 1, 0), nil)
	var won [5]atomic.Int32
	w.raceTx(racers, func(tx auth.Tx, i int) (bool, error) {
		ok, err := tx.UseStep(w.ctx, a.ID, int64(i%4+1), w.now)
		if ok {
			won[i%4+1].Add(1)
		}
		return ok, err
	})
	for step := range won {
		if n := won[step].Load(); n > 1 || step == 4 && n != 1 {
			w.Fatalf("step %d was spent %d times", step, n)
		}
	}
	w.same("last step", w.byID(a.ID).Factor.LastStep, int64(4))
}

func raceRecoveryCode(w *world) {
	a := w.account("anna")
	hashes := [][32]byte{newHash(), newHash(), newHash(), newHash()}
	w.in(func(tx auth.Tx) error { return tx.ReplaceRecoveryCodes(w.ctx, w.realm, a.ID, hashes, w.now) })
	n := w.raceTx(racers, func(tx auth.Tx, i int) (bool, error) {
		return tx.SpendRecoveryCode(w.ctx, a.ID, hashes[i%len(hashes)], w.now)
	})
	w.same("codes spent", n, len(hashes))
	w.same("codes left", w.codes(a.ID), 0)
}

func raceSpendTicket(w *world) {
	t := w.newTicket()
	n := w.raceTx(racers, func(tx auth.Tx, _ int) (bool, error) { return tx.SpendTicket(w.ctx, t.Hash, w.now) })
	w.same("one ticket", n, 1)
}

// notFound turns ErrNotFound into a no.
func notFound(err error) (bool, error) {
	if errors.Is(err, auth.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func conflict(err error) (bool, error) {
	if errors.Is(err, auth.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

func raceTryTicket(w *world) {
	t := w.newTicket()
	n := w.race(racers, func(int) (bool, error) {
		_, err := w.try(t.Hash, 5, w.now)
		return notFound(err)
	})
	w.same("attempts", n, 5)
}

func raceEndSession(w *world) {
	s := w.session(w.account("anna").ID)
	n := w.raceTx(racers, func(tx auth.Tx, _ int) (bool, error) {
		return tx.EndSession(w.ctx, w.realm, s.ID, "logout", w.now)
	})
	w.same("one session", n, 1)
}

// raceRefreshRetries presents one token many times within the retry time: one rotation,
// and the same successor for all.
func raceRefreshRetries(w *world) {
	s := w.session(w.account("anna").ID)
	fresh := w.race(racers, func(int) (bool, error) {
		r, err := w.rotate(s.ID, 1, time.Minute, 0, w.now)
		if err == nil && (r.Stolen || r.Session.Generation != 2) {
			err = fmt.Errorf("got %+v", r)
		}
		return !r.Retried, err
	})
	w.same("rotations", fresh, 1)
	w.same("generation", w.sessionByID(s.ID).Generation, int64(2))
}

// raceRefreshTheft presents one token many times without a retry time: one rotation, one
// theft, and nothing for the others.
func raceRefreshTheft(w *world) {
	s := w.session(w.account("anna").ID)
	var stolen, none atomic.Int32
	fresh := w.race(racers, func(int) (bool, error) {
		r, err := w.rotate(s.ID, 1, 0, 0, w.now)
		if errors.Is(err, auth.ErrNotFound) {
			none.Add(1)
			return false, nil
		}
		if r.Stolen {
			stolen.Add(1)
		}
		return err == nil && !r.Stolen, err
	})
	w.same("rotations, thefts, none", []int{fresh, int(stolen.Load()), int(none.Load())}, []int{1, 1, racers - 2})
	if w.sessionByID(s.ID).EndedAt.IsZero() {
		w.Fatal("the session lives")
	}
}

func raceNextNumber(w *world) {
	var mu sync.Mutex
	var got []int64
	w.race(racers, func(int) (bool, error) {
		var n int64
		err := w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
			n, err = tx.NextNumber(w.ctx, w.realm)
			return err
		})
		mu.Lock()
		defer mu.Unlock()
		got = append(got, n)
		return true, err
	})
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != racers || got[0] < 1 {
		w.Fatalf("got %v", got)
	}
}

// raceNames: one namespace for usernames and addresses, whoever comes first.
func raceNames(w *world) {
	n := w.race(racers, func(i int) (bool, error) {
		a := w.person("anna", int64(100+i))
		keys := []string{"anna", fmt.Sprintf("anna%d@example.com", i)}
		if i%2 == 0 {
			keys = []string{fmt.Sprintf("user%d", i), "anna"}
		}
		return conflict(w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.InsertAccount(w.ctx, a, keys) }))
	})
	w.same("accounts", n, 1)
	list, err := w.store.Accounts(w.ctx, w.realm, uuid.Nil, 100)
	w.wantErr("list", err, nil)
	w.same("stored", len(list), 1)
}

func raceRealmNames(w *world) {
	name := "realm-" + newID().String()
	n := w.race(racers, func(int) (bool, error) {
		r := auth.Realm{ID: newID(), Name: name, RefreshKey: []byte{1}, CreatedAt: w.now}
		return conflict(w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.InsertRealm(w.ctx, r) }))
	})
	w.same("realms", n, 1)
}

func raceAliases(w *world) {
	people := w.accounts(8)
	n := w.race(len(people), func(i int) (bool, error) {
		return conflict(w.store.InTx(w.ctx, func(tx auth.Tx) error { return tx.SetAlias(w.ctx, w.realm, people[i].ID, "one", "x") }))
	})
	w.same("aliases", n, 1)
}

// raceNumberAndAlias: a number is an account's own, or another's alias, never both.
func raceNumberAndAlias(w *world) {
	a := w.account("anna")
	for round := range 10 {
		number := int64(1000 + round)
		n := w.race(2, func(i int) (bool, error) {
			return conflict(w.store.InTx(w.ctx, func(tx auth.Tx) error {
				if i == 0 {
					return tx.SetAlias(w.ctx, w.realm, a.ID, "one", fmt.Sprint(number))
				}
				b := w.person(fmt.Sprintf("user%d", round), number)
				return tx.InsertAccount(w.ctx, b, keysOf(b))
			}))
		})
		w.same("one of both", n, 1)
	}
}

func raceRehash(w *world) {
	a := w.account("anna")
	n := w.raceTx(racers, func(tx auth.Tx, i int) (bool, error) {
		return tx.Rehash(w.ctx, a.ID, a.PasswordHash, fmt.Sprintf("new%d", i))
	})
	w.same("rehashed", n, 1)
}

// charging is a policy for tests that count all failures.
var charging = throttle.Policy{Free: 5, First: time.Second, Max: time.Minute, Decay: time.Hour}

// raceChargeBudget charges one counter from many sides; none may be lost, and what has
// decayed since the last one is taken off once.
func raceChargeBudget(w *world) {
	policies := map[string]throttle.Policy{
		"decay":  charging,
		"wall":   {Free: 5, First: time.Second, Max: time.Minute, Decay: time.Second, Wall: 10},
		"window": {Free: 60, Window: time.Minute},
	}
	for name, p := range policies {
		k, now, model := w.budgetKey(auth.BudgetAccount), w.now, throttle.State{}
		for _, pause := range []time.Duration{0, 2 * time.Second, time.Minute, 90 * time.Minute} {
			now = now.Add(pause)
			n := w.raceTx(racers, func(tx auth.Tx, _ int) (bool, error) {
				_, err := tx.ChargeBudget(w.ctx, k, p, now)
				return true, err
			})
			for range n {
				model = charged(p, model, now)
			}
			w.same(name, w.budget(k), model)
		}
	}
}

// signIn opens a session if the account is still what was checked, as the core does.
func (w *world) signIn(a auth.AccountRecord) (ok bool, err error) {
	err = w.store.InTx(w.ctx, func(tx auth.Tx) (err error) {
		if ok, err = tx.RecordSignIn(w.ctx, a.ID, a.Version, w.now); err != nil || !ok {
			return err
		}
		return tx.InsertSession(w.ctx, w.chain(a.ID), nil)
	})
	return ok, err
}

// raceSignIns signs in beside a change that ends all sessions; none may live after it.
func (w *world) raceSignIns(change func(tx auth.Tx, a auth.AccountRecord) error) {
	w.Helper()
	for round := range 10 {
		a := w.account(fmt.Sprintf("user%d", round))
		w.race(9, func(i int) (bool, error) {
			if i != 4 {
				return w.signIn(a)
			}
			return true, w.store.InTx(w.ctx, func(tx auth.Tx) error {
				if err := change(tx, a); err != nil {
					return err
				}
				_, err := tx.EndSessions(w.ctx, a.ID, uuid.Nil, "changed", w.now)
				return err
			})
		})
		live, err := w.store.Sessions(w.ctx, w.realm, a.ID, uuid.Nil, 100, w.now)
		if err != nil || len(live) != 0 {
			w.Fatalf("%d sessions outlive the change: %v", len(live), err)
		}
		if ok, err := w.signIn(a); ok || err != nil {
			w.Fatalf("a login that was checked before the change passed after it: %v", err)
		}
	}
}

func raceSignInAndDisable(w *world) {
	w.raceSignIns(func(tx auth.Tx, a auth.AccountRecord) error {
		changed, err := tx.SetDisabled(w.ctx, w.realm, a.ID, true, w.now)
		if err == nil && !changed {
			err = errors.New("nothing changed")
		}
		return err
	})
}

func raceSignInAndPassword(w *world) {
	w.raceSignIns(func(tx auth.Tx, a auth.AccountRecord) error {
		changed, err := tx.SetPassword(w.ctx, a.ID, a.Version, "new", w.now)
		if err == nil && !changed {
			err = errors.New("nothing changed")
		}
		return err
	})
}
