package store

import (
	"strings"

	"github.com/ostiary/ostiary/internal/backup"
)

// Tables are all tables that a backup has, and that are copied to another database, with
// their columns as both engines have them. Each begins with its primary key.
var Tables = []backup.Table{
	table("store_info", 1, "name text", "value text"),
	table("realm", 1, "id bytes", "name text", "next_number integer", "refresh_key bytes", "created_at integer"),
	table("signing_key", 1, "id bytes", "realm_id bytes", "kid text", "algorithm text", "sealed bytes", "public bytes", "created_at integer",
		"signs_from integer", "expires_at integer"),
	table("account", 1, "id bytes", "realm_id bytes", "number integer", "kind text", "username text", "email text", "email_verified integer",
		"display_name text", "org text", "disabled integer", "password_hash text", "version integer", "origin text", "created_at integer",
		"updated_at integer", "signed_in_at integer"),
	table("account_name", 2, "realm_id bytes", "name_key text", "account_id bytes"),
	table("account_alias", 3, "realm_id bytes", "dialect text", "subject text", "account_id bytes"),
	table("hash_scheme", 2, "realm_id bytes", "scheme text", "accounts integer"),
	table("password_history", 2, "account_id bytes", "seq integer", "realm_id bytes", "hash text", "replaced_at integer"),
	table("service_secret", 1, "hash bytes", "realm_id bytes", "account_id bytes", "created_at integer", "expires_at integer"),
	table("totp_factor", 1, "account_id bytes", "realm_id bytes", "secret bytes", "last_step integer", "created_at integer", "confirmed_at integer"),
	table("recovery_code", 2, "account_id bytes", "hash bytes", "realm_id bytes", "created_at integer", "spent_at integer"),
	table("role", 2, "realm_id bytes", "name text", "created_at integer"),
	table("datasource", 2, "realm_id bytes", "name text", "created_at integer"),
	table("account_role", 2, "account_id bytes", "role text", "realm_id bytes", "created_at integer"),
	table("role_datasource", 3, "realm_id bytes", "role text", "datasource text", "created_at integer"),
	table("known_source", 2, "account_id bytes", "source text", "seen_at integer"),
	table("guess_budget", 4, "realm_id bytes", "subject text", "kind text", "source text", "failures integer", "first_at integer", "last_at integer"),
	table("ticket", 1, "hash bytes", "realm_id bytes", "account_id bytes", "version integer", "attempts integer", "created_at integer",
		"expires_at integer", "spent_at integer"),
	table("session", 1, "id bytes", "realm_id bytes", "account_id bytes", "dialect text", "amr text", "auth_time integer", "last_used_at integer",
		"idle_at integer", "expires_at integer", "ended_at integer", "end_reason text", "address text", "user_agent text", "bearer_hash bytes?",
		"generation integer", "rotated_at integer", "audience text"),
	table("audit_head", 1, "realm_id bytes", "seq integer", "hash bytes", "seal bytes"),
	table("audit_checkpoint", 2, "realm_id bytes", "seq integer", "hash bytes", "at integer", "cut integer", "signature bytes"),
	table("audit_event", 2, "realm_id bytes", "seq integer", "id bytes", "at integer", "kind text", "account_id bytes?", "session_id bytes?",
		"dialect text", "address text", "request_id text", "actor text", "token text", "detail text", "hash bytes"),
	table("account_password", 2, "account_id bytes", "dialect text", "realm_id bytes", "hash text", "everywhere integer", "created_at integer", "proven_at integer"),
	table("source_name", 3, "realm_id bytes", "dialect text", "name_key text", "account_id bytes"),
	table("name_gone", 2, "realm_id bytes", "name_hash bytes", "gone_at integer"),
	table("factor_elsewhere", 1, "account_id bytes", "realm_id bytes", "dialect text", "since integer", "enrols integer"),
	table("ticket_relay", 1, "hash bytes", "realm_id bytes", "sealed bytes", "expires_at integer"),
	table("account_import", 2, "realm_id bytes", "digest bytes", "account_id bytes", "source text", "imported_at integer"),
	table("foreign_token", 2, "realm_id bytes", "hash bytes", "account_id bytes", "dialect text", "kind text", "session_id bytes?", "key_id bytes?", "created_at integer", "expires_at integer", "spent_at integer"),
	table("verify_key", 1, "id bytes", "realm_id bytes", "kid text", "algorithm text", "dialect text", "issuer text", "audience text", "public bytes", "sealed bytes", "created_at integer", "expires_at integer"),
	table("session_cutoff", 1, "account_id bytes", "realm_id bytes", "at integer"),
	table("usage_count", 6, "realm_id bytes", "day integer", "dialect text", "what text", "client text", "source text", "requests integer", "last_at integer"),
	table("parity_count", 6, "realm_id bytes", "day integer", "dialect text", "route text", "kind text", "detail text", "requests integer", "last_at integer"),
	table("account_merge", 2, "kept_id bytes", "id bytes", "realm_id bytes", "merged_id bytes", "at integer", "reset_at integer", "undone_at integer", "before bytes"),
	table("writeback", 3, "realm_id bytes", "account_id bytes", "seq integer", "id bytes", "sealed bytes", "created_at integer", "tries integer", "next_at integer"),
	table("account_apart", 1, "account_id bytes", "realm_id bytes", "dialect text"),
	table("tls_storage", 1, "key text", "value bytes", "modified_at integer"),
}

// ownFacts are those that a database has of itself: they are not copied.
var ownFacts = []string{refuseFact, CopiedFact, writtenFact, identityFact, BackupFact}

// table makes a table of its columns: "name kind", with a question mark if it may be NULL.
func table(name string, key int, columns ...string) backup.Table {
	t := backup.Table{Name: name, Key: key}
	for _, c := range columns {
		column, kind, _ := strings.Cut(c, " ")
		kind, null := strings.CutSuffix(kind, "?")
		t.Columns = append(t.Columns, backup.Column{Name: column, Kind: backup.Kind(kind), Nullable: null})
	}
	return t
}
