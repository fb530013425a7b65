package e2e_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ostiary/ostiary/internal/auth"
)

// jsonDoor is a door that reads JSON, and the fields that let ada in there.
type jsonDoor struct {
	name, path string
	fields     func(t *testing.T, h *house) map[string]string
	headers    func(t *testing.T, h *house) []string
}

func jsonDoors() []jsonDoor {
	own := func(t *testing.T, h *house) []string {
		var k tokens
		h.mikrocloud(t, hostOne, "ada", &k)
		return []string{"Authorization: Bearer " + k.auth}
	}
	return []jsonDoor{
		{"mikrocloud, login", "/user/login", func(*testing.T, *house) map[string]string { return map[string]string{"email": "ada", "password": pass} }, nil},
		{"mikrocloud, passport", "/user/passport", func(t *testing.T, h *house) map[string]string {
			var k tokens
			h.ticket(t, hostOne, "ada", &k)
			return map[string]string{"token": k.ticket, "totp": ""}
		}, nil},
		{"senmo, login", "/v1/auth", func(*testing.T, *house) map[string]string {
			return map[string]string{"username": "ada", "password": pass}
		}, nil},
		{"senmo, refresh", "/v1/auth/refreshtoken", func(t *testing.T, h *house) map[string]string {
			var k tokens
			h.senmo(t, hostOne, "ada", &k)
			return map[string]string{"refreshtoken": k.refresh}
		}, nil},
		{"password", "/ostiary/password", func(*testing.T, *house) map[string]string { return map[string]string{"current": pass, "new": pass} }, own},
	}
}

// send asks a door with a body; the text FIELDS in it is the members that let ada in.
func (d jsonDoor) send(t *testing.T, h *house, body string) answer {
	t.Helper()
	inner := strings.Trim(mustJSON(d.fields(t, h)), "{}")
	var headers []string
	if d.headers != nil {
		headers = d.headers(t, h)
	}
	return h.ask(t, hostOne, "POST", d.path, strings.ReplaceAll(body, "FIELDS", inner), headers...)
}

// A body that readers could take for two different ones is refused at every door, though
// one of its readings would be let in; the errors are of the door's own shape.
func TestThreat57_EveryDoor(t *testing.T) {
	h := open(t)
	h.account(t, hostOne, "ada")
	for _, d := range jsonDoors() {
		t.Run(d.name, func(t *testing.T) {
			for _, body := range []string{
				`{FIELDS}{}`, `{FIELDS} x`, `{FIELDS}` + "\x00", `[{FIELDS}]`, `null`, `-1`, `9223372036854775808`, `"{FIELDS}"`, "\ufeff{FIELDS}", `{FIELDS,}`, `{FIELDS`,
				`{FIELDS,"x":1e}`, `{FIELDS,"x":01}`, `{FIELDS,"x":+1}`, `{FIELDS,"x":NaN}`, `{FIELDS,"x":{"y":1,"y":1}}`, `{FIELDS,"x":1,"x":1}`, `{FIELDS,FIELDS}`, `{FIELDS,"x":"\ud800"}`,
			} {
				if a := d.send(t, h, body); a.StatusCode != 400 || !json.Valid([]byte(a.body)) {
					t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
				}
			}
			for field, value := range d.fields(t, h) {
				member := `"` + field + `":`
				for _, odd := range []string{`1`, `-1`, `9223372036854775808`, `1e309`, `1e-400`, `0.1`, `true`, `[]`, `{}`, `["x"]`, `[null]`} {
					if a := d.send(t, h, `{`+member+odd+`}`); a.StatusCode != 400 {
						t.Errorf("%s%s: %d %s", member, odd, a.StatusCode, a.body)
					}
				}
				for _, twice := range []string{member + `"x"`, member + mustJSON(value), member + `null`, strings.Replace(member, field[:1], `\u00`+hex(field[0]), 1) + `"x"`} {
					for _, body := range []string{`{FIELDS,` + twice + `}`, `{` + twice + `,FIELDS}`} {
						if a := d.send(t, h, body); a.StatusCode != 400 {
							t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
						}
					}
				}
				for _, other := range []string{strings.ToUpper(field), strings.ReplaceAll(field, "s", "ſ"), field + "\u200b"} {
					if other == field {
						continue
					}
					if a := d.send(t, h, `{FIELDS,"`+other+`":1}`); a.StatusCode >= 300 {
						t.Errorf("another name, %q: %d %s", other, a.StatusCode, a.body)
					}
				}
			}
			if a := d.send(t, h, `{FIELDS,"x":[1e309,-1,9223372036854775808,null]}`); a.StatusCode >= 300 {
				t.Errorf("what nobody reads: %d %s", a.StatusCode, a.body)
			}
		})
	}
}

func hex(c byte) string { return string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }

// No field, query or header that nobody asked for changes what an account, a session or
// a token says. (They are not refused: real clients send more than is documented.)
func TestThreat55_MassAssignment(t *testing.T) {
	h := open(t)
	ada, bob := h.account(t, hostOne, "ada"), h.account(t, hostOne, "bob")
	realm := h.realms[hostOne].ID
	if err := h.svc.CreateRole(t.Context(), realm, "admin", auth.Client{}); err != nil {
		t.Fatal(err)
	}
	records := func() (all []any) {
		for _, id := range []uuid.UUID{ada, bob} {
			rec, err := h.store.AccountByID(t.Context(), realm, id, "nomic")
			if err != nil {
				t.Fatal(err)
			}
			rec.PasswordHash, rec.Version, rec.UpdatedAt = "", 0, rec.CreatedAt // which a change of the password changes
			all = append(all, rec)
		}
		return all
	}
	before := records()
	wishes := map[string]any{
		"role": "admin", "roles": []string{"admin"}, "datasources": []string{"all"}, "admin": true, "is_admin": true, "email_verified": true, "emailVerified": true,
		"email_": "x@example.com", "realm": "two", "realm_id": h.realms[hostTwo].ID.String(), "tenant": "two", "id": bob.String(), "account": bob.String(), "account_id": bob.String(),
		"sub": bob.String(), "subject": bob.String(), "number": 1, "kind": "service", "disabled": true, "org": "evil", "orgUid": "evil", "display_name": "evil", "version": 99,
		"session": bob.String(), "sessionId": bob.String(), "amr": []string{"pwd", "otp", "mfa"}, "mfa": false, "mfa_enabled": false, "mfa_verified": true, "scope": "openid admin",
		"aud": "evil", "client_id": "evil", "exp": 99999999999, "expires_at": 99999999999, "iss": "evil", "alias": "1", "password_hash": "x", "totp_secret": "x", "origin": "evil",
	}
	query := url.Values{}
	headers := []string{"X-Role: admin", "X-Realm: two", "X-Account: " + bob.String(), "Ostiary-Account: " + bob.String(), "Ostiary-Roles: admin", "X-HTTP-Method-Override: PUT"}
	for name, value := range wishes {
		text, ok := value.(string)
		if !ok {
			text = mustJSON(value)
		}
		query.Set(name, text)
	}
	extra := strings.Trim(mustJSON(wishes), "{}")
	for _, d := range jsonDoors() {
		for _, body := range []string{`{` + extra + `,FIELDS}`, `{FIELDS,"account":{` + extra + `},` + strings.ReplaceAll(extra, `"account":`, `"x":`) + `}`} {
			wish := jsonDoor{d.name, d.path + "?" + query.Encode(), d.fields, func(t *testing.T, h *house) []string {
				if d.headers == nil {
					return headers
				}
				return append(d.headers(t, h), headers...)
			}}
			a := wish.send(t, h, body)
			if a.StatusCode >= 300 {
				t.Errorf("%s: %d %s", d.name, a.StatusCode, a.body)
			}
			for _, text := range []string{"evil", "admin", bob.String()} {
				if strings.Contains(a.body, text) {
					t.Errorf("%s: %s in %s", d.name, text, a.body)
				}
			}
		}
	}
	if after := records(); !reflect.DeepEqual(before, after) {
		t.Errorf("accounts changed:\n%+v\n%+v", before, after)
	}
	k := h.all(t, hostOne, "ada")
	for name, bearer := range k.bearers() {
		for _, path := range []string{"/ostiary/verify", "/ostiary/whoami?realm=two&account=" + bob.String()} {
			a := h.ask(t, hostOne, "GET", path, "", append(headers, bearer...)...)
			if account := a.Header.Get("Ostiary-Account"); a.StatusCode != 200 || strings.Contains(a.body, bob.String()) || path == "/ostiary/verify" && (account != ada.String() || a.Header.Get("Ostiary-Roles") != "") {
				t.Errorf("%s at %s: %d %v %s", name, path, a.StatusCode, a.Header, a.body)
			}
		}
	}
	sessions, err := h.svc.ListSessions(t.Context(), realm, uuid.Nil, uuid.Nil, 1000)
	if err != nil || len(sessions) == 0 {
		t.Fatal(sessions, err)
	}
	for _, s := range sessions {
		if s.AccountID != ada || len(s.AMR) != 1 || s.Audience == "evil" || s.ExpiresAt.Sub(s.AuthTime).Hours() > 24*90 {
			t.Errorf("session %+v", s)
		}
	}
}
