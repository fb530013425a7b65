// Command pocketbase serves PocketBase, for the benchmark to measure beside Ostiary.
//
// It is PocketBase as its own guide to extending it in Go has it, with its defaults: the
// collection users, passwords in bcrypt of cost 10, tokens in HS256 that are neither kept
// nor rotated, rate limits off. It is a module of its own so that it is built with the
// versions of SQLite that PocketBase is tested with, and not with Ostiary's.
//
// To measure it there are, besides: accounts, made on the first start; a route that asks
// no more than a valid token; and one that tells how often memory was allocated.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
)

func main() {
	dir := flag.String("dir", "", "its data `directory`")
	listen := flag.String("listen", "127.0.0.1:8090", "its `address`")
	accounts := flag.Int("accounts", 0, "make so many accounts, bench-0@example.com and on")
	password := flag.String("password", "", "of these accounts")
	flag.Parse()
	app := pocketbase.NewWithConfig(pocketbase.Config{DefaultDataDir: *dir, HideStartBanner: true})
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.InstallerFunc = nil // it would open a browser
		if err := create(e.App, *accounts, *password); err != nil {
			return err
		}
		e.Router.GET("/check", func(e *core.RequestEvent) error {
			e.Response.Header().Set("Content-Length", "0")
			e.Response.WriteHeader(http.StatusOK)
			return nil
		}).Bind(apis.RequireAuth())
		e.Router.GET("/mallocs", func(e *core.RequestEvent) error {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return e.String(http.StatusOK, fmt.Sprintf("go_memstats_mallocs_total %d\n", m.Mallocs))
		})
		return e.Next()
	})
	os.Args = []string{os.Args[0], "serve", "--http", *listen} // it reads them itself
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}

func create(app core.App, n int, password string) error {
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return err
	}
	for i := range n {
		account := core.NewRecord(users)
		account.SetEmail(fmt.Sprintf("bench-%d@example.com", i))
		account.SetPassword(password)
		if err := app.Save(account); err != nil {
			return err
		}
	}
	return nil
}
