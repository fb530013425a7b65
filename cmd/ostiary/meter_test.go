package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/store"
)

// The process whose turn it is deletes counts that are too old, and counts the accounts for
// the metrics; what is asked is in them at once.
func TestServe_TendsUsage(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := serve(t, data)
	must(t, "", "account", "create", "--data", data, "--username", "ada", "--no-password")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	st, err := store.Open(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	realm, err := st.RealmByName(ctx, "default")
	if err != nil {
		t.Fatal(err)
	}
	today := auth.DayOf(time.Now())
	err = st.InTx(ctx, func(tx auth.Tx) error {
		for _, day := range []int64{today - 40, today - 20} {
			if err := tx.AddUsage(ctx, realm.ID, auth.Usage{Day: day, Dialect: "senmo", What: "signed_in", Requests: 1, Last: auth.DayTime(day)}, 10); err != nil {
				return err
			}
		}
		return nil
	})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, data, "--admin-listen", "127.0.0.1:0", "--usage-keep", "30d")
	login(t, p.url, "ada", "wrong")
	var text, usage string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, text = fetch(t, p.admin(t)+"/metrics")
		usage = must(t, "", "usage", "--data", data, "--since", "99d", "--by", "day", "--json")
		if metric(t, text, `ostiary_accounts{realm="default",state="never_signed_in"}`) == 1 && !strings.Contains(usage, auth.DayTime(today-40).Format(time.DateOnly)) {
			break
		}
	}
	if strings.Contains(usage, auth.DayTime(today-40).Format(time.DateOnly)) || !strings.Contains(usage, auth.DayTime(today-20).Format(time.DateOnly)) {
		t.Errorf("kept: %s", usage)
	}
	if metric(t, text, `ostiary_accounts{realm="default",state="all"}`) != 1 || metric(t, text, `ostiary_usage_requests_total{dialect="senmo",what="refused"}`) != 1 {
		t.Errorf("metrics: %s", text)
	}
}
