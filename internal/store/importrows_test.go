package store

import "testing"

// In SQLite only the values that rows share have numbers, and the first of their own: the
// driver looks for the name of each parameter, as often as there are others that have one.
func TestImportRows_Text(t *testing.T) {
	r := insertInto("account_name", "realm_id, name_key, account_id", "($1, ?, ?)", 0, 1)
	for lite, want := range map[bool]string{
		true:  "INSERT OR FAIL INTO account_name (realm_id, name_key, account_id) VALUES (?1, ?2, ?), (?1, ?, ?)",
		false: "INSERT INTO account_name (realm_id, name_key, account_id) VALUES ($1, $2, $3), ($1, $4, $5)",
	} {
		if text := r.text(2, lite); text != want {
			t.Errorf("%s\nin place of\n%s", text, want)
		}
	}
}
