package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Every bad file ends the start with exactly one line, which names what is wrong.
func TestConfig_BadFile(t *testing.T) {
	mount := func(lines ...string) string { return "[[mount]]\n" + strings.Join(lines, "\n") + "\n" }
	policy := func(lines ...string) string { return "[[policy]]\n" + strings.Join(lines, "\n") + "\n" }
	senmo := func(lines ...string) string { return mount(append([]string{`dialect = "senmo"`}, lines...)...) }
	const old = `legacy = "https://old.example.com"`
	tests := []struct{ name, file, want string }{
		{"unknown key", "data = \"x\"\nlisten_on = \"y\"\n", `ostiary.toml:2: unknown key "listen_on"`},
		{"flag's spelling", "log-level = \"info\"\n", `ostiary.toml:1: unknown key "log-level"`},
		{"other case", "Data = \"x\"\n", `ostiary.toml:1: unknown key "Data"`},
		{"folded case", "\"hash_ſlots\" = 1\n", "ostiary.toml:1: unknown key \"hash_ſlots\""},
		{"other case of a mount", senmo(`Issuer = "x"`), `ostiary.toml:3: unknown key "mount.Issuer"`},
		{"number for a duration", senmo(`access_ttl = 3600000000000`), `ostiary.toml:3: mount.access_ttl: must be a duration such as "1h"`},
		{"other case in the second mount", "# a file\nhash_slots = 1\n" + senmo() + "\n" + senmo("# x", `Host = "x"`), `ostiary.toml:9: unknown key "mount.Host"`},
		{"inline mount", "mount = [{dialect = \"senmo\", Host = \"x\"}]\n", `ostiary.toml: unknown key "mount.Host"`},
		{"number for a slot", "hash_slots = \"2\"\n", `ostiary.toml:1: hash_slots: must be an integer`},
		{"date for a text", "data = 2026-01-01\n", `ostiary.toml:1: data: must be a string`},
		{"fraction for a slot", "hash_slots = 1.0\n", `ostiary.toml:1: hash_slots: must be an integer`},
		{"text for mounts", "mount = \"x\"\n", `ostiary.toml:1: mount: must be a list of tables [[mount]]`},
		{"key of config itself", "config = \"x\"\n", `ostiary.toml:1: unknown key "config"`},
		{"unknown key of a mount", senmo(`isuer = "x"`), `ostiary.toml:3: unknown key "mount.isuer"`},
		{"unknown table", "[server]\nlisten = \"x\"\n", `ostiary.toml:1: unknown key "server"`},
		{"secret in the file", "master_key = \"x\"\n", `ostiary.toml:1: unknown key "master_key"`},
		{"not TOML", "data = \n", `ostiary.toml:1: unexpected character U+000A at start of value`},
		{"key twice", "data = \"a\"\ndata = \"b\"\n", `ostiary.toml:2: data: key data is already defined`},
		{"wrong type", "data = 1\n", `ostiary.toml:1: data: must be a string`},
		{"wrong type of a list", "trusted_proxy = \"10.0.0.0/8\"\n", `ostiary.toml:1: trusted_proxy: must be a list of strings`},
		{"wrong type of a duration", "hash_wait = 5\n", `ostiary.toml:1: hash_wait: must be a duration such as "1h"`},
		{"bad duration", "hash_wait = \"5 s\"\n", `ostiary.toml:1: hash_wait: "5 s" is no duration such as "60s", "1h" or "30d"`},
		{"mount that is no list", "[mount]\ndialect = \"senmo\"\n", `ostiary.toml:1: mount: is a list of tables: write [[mount]]`},
		{"bad duration of a mount", senmo(`access_ttl = "soon"`), `ostiary.toml:3: mount.access_ttl: "soon" is no duration such as "60s", "1h" or "30d"`},

		{"empty data", "data = \"\"\n", `data: must not be empty`},
		{"PostgreSQL without a database", "database = \"postgres://u:p@h\"\n", `database: the URL of PostgreSQL must name a database: postgres://USER@HOST:PORT/NAME`},
		{"other database", "database = \"mysql://u:p@h/d\"\n", `database: must be "sqlite:" and a path, a URL that begins with postgres://, or empty`},
		{"sqlite without path", "database = \"sqlite:\"\n", `database: "sqlite:" must be followed by a plain path`},
		{"sqlite in memory", "database = \"sqlite::memory:\"\n", `database: "sqlite:" must be followed by the path of a file: a store in memory would be lost with the process`},
		{"sqlite in memory, as a URI", "database = \"sqlite:file::memory:\"\n", `database: "sqlite:" must be followed by the path of a file: a store in memory would be lost with the process`},
		{"sqlite with a query", "database = \"sqlite:a.db?mode=ro\"\n", `database: "sqlite:" must be followed by a plain path`},
		{"realm", "realm = \"a:b\"\n", `realm: "a:b" is no realm's name (letters, digits, dot, underscore, hyphen; at most 64)`},
		{"log level", "log_level = \"loud\"\n", `log_level: "loud" is not debug, info, warn or error`},
		{"log format", "log_format = \"xml\"\n", `log_format: "xml" is not text or json`},
		{"slots", "hash_slots = -1\n", `hash_slots: must be between 0 and 1024`},
		{"guesses", "guess_factor = -1\n", `guess_factor: must be between 0 and 1000000`},
		{"guesses of a known source", "guess_known = 1000001\n", `guess_known: must be between 0 and 1000000`},
		{"no delay", "guess_delay = \"0s\"\n", `guess_delay: must be at least 1ms`},
		{"delay over the longest", "guess_delay = \"1h\"\n", `guess_delay_max (15m) must not be less than guess_delay (1h)`},
		{"decay of no more than the longest delay", "guess_delay_max = \"1h\"\n", `guess_decay (1h) must be more than guess_delay_max (1h): else the wrong guesses of whoever waits each time would be forgotten as they come`},
		{"wall among the free ones", "guess_wall = 5\n", `guess_wall (5) must be 0, or more than guess_account and guess_known`},
		{"no window", "guess_source_window = \"0s\"\n", `guess_source_window: must be at least 1s`},
		{"window of a millisecond", "guess_factor_window = \"1ms\"\n", `guess_factor_window: must be at least 1s`},
		{"negative time", "guess_known_for = \"-1h\"\n", `guess_known_for: must not be negative`},
		{"exempt", "guess_exempt = [\"office\"]\n", `guess_exempt: "office" is no network such as 10.0.0.0/8`},
		{"exempt everybody", "guess_exempt = [\"10.0.0.0/8\", \"::/0\"]\n", `guess_exempt: "::/0" is everybody: for no limit at all, set guess_source = 0`},
		{"wait", "hash_wait = \"0s\"\n", `hash_wait: must be more than zero`},
		{"rotation", "key_rotation = \"3s\"\n", `key_rotation: must be 0s, or at least 6s`},
		{"negative rotation", "key_rotation = \"-1h\"\n", `key_rotation: must be 0s, or at least 6s`},
		{"ahead", "key_ahead = \"1s\"\n", `key_ahead: must be 0s, or at least 5s`},
		{"negative ahead", "key_ahead = \"-24h\"\n", `key_ahead: must be 0s, or at least 5s`},
		{"ahead over rotation", "key_rotation = \"1d\"\n", `key_ahead (24h) must be less than key_rotation (24h)`},
		{"rotation below the default ahead", "key_rotation = \"12h\"\n", `key_ahead (24h) must be less than key_rotation (12h)`},
		{"days and minutes", "key_rotation = \"90d\"\nkey_ahead = \"90d1h30m\"\n", `key_ahead (2161h30m) must be less than key_rotation (90d)`},
		{"rotation that is a boolean", "key_rotation = true\n", `ostiary.toml:1: key_rotation: must be a duration such as "1h"`},
		{"rotation that is a float", "key_rotation = inf\n", `ostiary.toml:1: key_rotation: must be a duration such as "1h"`},
		{"duration of a mount that is a boolean", senmo(`session_max = false`), `ostiary.toml:3: mount.session_max: must be a duration such as "1h"`},
		{"duration of a mount that is a float", senmo(`access_ttl = 1.5`), `ostiary.toml:3: mount.access_ttl: must be a duration such as "1h"`},
		{"rotation that is too long", "key_rotation = \"36501d\"\n", `ostiary.toml:1: key_rotation: "36501d" is too long: at most 36500d`},
		{"rotation that overflows", "key_rotation = \"99999999h\"\n", `ostiary.toml:1: key_rotation: "99999999h" is too long: at most 36500d`},
		{"TOTP issuer", "totp_issuer = \"a:b\"\n", `totp_issuer: must not contain a colon`},
		{"empty TOTP issuer", "totp_issuer = \" \"\n", `totp_issuer: must be 1 to 64 printable characters`},

		{"listen", "listen = \"8080\"\n", `listen: "8080" is no address such as 127.0.0.1:8080`},
		{"listen on a named port", "listen = \"127.0.0.1:http\"\n", `listen: "127.0.0.1:http" has no port between 0 and 65535`},
		{"listen in the clear", "listen = \"0.0.0.0:80\"\n", `listen: 0.0.0.0:80 is not a loopback address: passwords would travel in the clear; give tls_cert and tls_key, acme_domain, or trusted_proxy`},
		{"listen everywhere", "listen = \":80\"\n", `listen: :80 is not a loopback address: passwords would travel in the clear; give tls_cert and tls_key, acme_domain, or trusted_proxy`},
		{"metrics", "admin_listen = \"127.0.0.1:8080\"\n", `admin_listen: is the same address as listen: metrics are not for clients`},
		{"metrics beside plain HTTP", "tls_cert = \"a.pem\"\ntls_key = \"a.pem\"\nhttp_listen = \"[::1]:80\"\nadmin_listen = \"[::1]:80\"\n", `admin_listen: is the same address as http_listen: metrics are not for clients`},
		{"metrics everywhere", "admin_listen = \":9464\"\n", `admin_listen: ":9464" has no host: name the address that metrics are for, such as 127.0.0.1:9464`},
		{"metrics without a port", "admin_listen = \"[::1]\"\n", `admin_listen: "[::1]" is no address such as 127.0.0.1:8080`},
		{"traces to a file", "trace_endpoint = \"file:///x\"\n", `trace_endpoint: must be a URL such as http://127.0.0.1:4318`},
		{"traces to a host", "trace_endpoint = \"collector:4318\"\n", `trace_endpoint: must be a URL such as http://127.0.0.1:4318`},
		{"traces with a password", "trace_endpoint = \"https://me:word@collector.example\"\n", `trace_endpoint: must have no user and no password: a collector on this machine can add them`},
		{"traces with a token", "trace_endpoint = \"https://collector.example/?token=x\"\n", `trace_endpoint: must have no query and no fragment`},
		{"more traces than requests", "trace_sample = 1.5\n", `trace_sample: must be between 0 and 1`},
		{"fewer traces than none", "trace_sample = -1\n", `trace_sample: must be between 0 and 1`},
		{"traces of no number", "trace_sample = nan\n", `trace_sample: must be between 0 and 1`},
		{"traces by a text", "trace_sample = \"half\"\n", `ostiary.toml:1: trace_sample: must be a number`},
		{"certificate alone", "tls_cert = \"a.pem\"\n", `tls_cert: needs tls_key beside it`},
		{"key alone", "tls_key = \"a.pem\"\n", `tls_key: needs tls_cert beside it`},
		{"certificate and ACME", "tls_cert = \"a.pem\"\ntls_key = \"a.pem\"\nacme_domain = [\"a.example\"]\n", `acme_domain: tls_cert is set too: give only one of them`},
		{"ACME for every name", "acme_domain = [\"*.example.com\"]\n", `acme_domain: "*.example.com": a CA gives wildcards by DNS-01 only, which is not supported: name each host, or get the certificate otherwise and give tls_cert`},
		{"ACME for an address", "acme_domain = [\"192.0.2.1\"]\n", `acme_domain: "192.0.2.1" is an address: CAs give certificates for host names`},
		{"ACME for a URL", "acme_domain = [\"https://a.example\"]\n", `acme_domain: "https://a.example" is no host name (ASCII, without scheme, port, or path)`},
		{"ACME for this machine", "acme_domain = [\"localhost\"]\n", `acme_domain: "localhost" has no dot: no public CA gives a certificate for it; name it in full, or give acme_directory of a private CA`},
		{"ACME for IPv6", "acme_domain = [\"2001:db8::1\"]\n", `acme_domain: "2001:db8::1" is an address: CAs give certificates for host names`},
		{"ACME for nothing", "acme_domain = [\"\"]\n", `acme_domain: "" is no host name (ASCII, without scheme, port, or path)`},
		{"ACME twice", "acme_domain = [\"a.example\", \"A.example\"]\n", `acme_domain: "A.example" is there twice`},
		{"e-mail alone", "acme_email = \"a@example.com\"\n", `acme_email: needs acme_domain beside it`},
		{"directory alone", "acme_directory = \"https://ca.example/dir\"\n", `acme_directory: needs acme_domain beside it`},
		{"root alone", "acme_root = \"a.pem\"\n", `acme_root: needs acme_domain beside it`},
		{"e-mail", "acme_domain = [\"a.example\"]\nacme_email = \"me\"\n", `acme_email: "me" is no e-mail address`},
		{"directory in the clear", "acme_domain = [\"a.example\"]\nacme_directory = \"http://ca.example/dir\"\n", `acme_directory: "http://ca.example/dir" is no URL such as https://ca.example/directory`},
		{"HTTP without TLS", "http_listen = \"127.0.0.1:80\"\n", `http_listen: is for plain HTTP beside TLS: give tls_cert and tls_key, or acme_domain`},
		{"HTTP behind a proxy", "http_listen = \":80\"\ntrusted_proxy = [\"10.0.0.1\"]\n", `http_listen: is for plain HTTP beside TLS: give tls_cert and tls_key, or acme_domain`},
		{"HTTP nowhere", "http_listen = \"80\"\nacme_domain = [\"a.example\"]\n", `http_listen: "80" is no address such as 127.0.0.1:8080`},
		{"HTTP at the same place", "listen = \":443\"\nhttp_listen = \":443\"\nacme_domain = [\"a.example\"]\n", `http_listen: is the same address as listen`},
		{"negative HSTS", "hsts = \"-1h\"\n", `hsts: must not be negative`},
		{"PROXY protocol of anybody", "proxy_protocol = true\n", `proxy_protocol: needs trusted_proxy beside it: whoever else could connect would choose the address that it counts as`},
		{"a long stop", "stop_delay = \"1h\"\n", `stop_delay: must be between 0s and 10m`},
		{"no connections", "max_connections = 0\n", `max_connections: must be between 1 and 1000000`},
		{"connections below zero", "source_connections = -1\n", `source_connections: must be between 1 and 1000000`},
		{"more connections of one than of all", "max_connections = 1000\n", `source_connections (1024) must not be more than max_connections (1000)`},
		{"too many requests", "source_requests = 1000001\n", `source_requests: must be between 1 and 1000000`},
		{"proxy", "trusted_proxy = [\"10.0.0.0/33\"]\n", `trusted_proxy: "10.0.0.0/33" is no network such as 10.0.0.0/8`},
		{"everybody a proxy", "trusted_proxy = [\"10.0.0.1\", \"0.0.0.0/0\"]\n", `trusted_proxy: "0.0.0.0/0" is everybody: whoever connects would choose the address that it counts as; name the proxies`},
		{"everybody a proxy by IPv6", "trusted_proxy = [\"2001:db8::1/0\"]\n", `trusted_proxy: "2001:db8::1/0" is everybody: whoever connects would choose the address that it counts as; name the proxies`},

		{"no dialect", mount(`host = "a"`), `ostiary.toml: mount 1: dialect: missing; it is one of cloudio, mikrocloud, nomic, senmo`},
		{"unknown dialect", mount(`dialect = "Senmo"`), `ostiary.toml: mount 1: dialect: "Senmo" is not cloudio, mikrocloud, nomic or senmo`},
		{"legacy that is no URL", senmo(`legacy = "old.example.com"`), `ostiary.toml: mount 1 (senmo): legacy: must be a URL such as https://old.example.com`},
		{"legacy without TLS", senmo(`legacy = "http://old.example.com"`), `ostiary.toml: mount 1 (senmo): legacy: "http://old.example.com" is not HTTPS: passwords would be readable on the way; http is for a loopback address alone`},
		{"legacy with a password", senmo(`legacy = "https://a:b@old.example.com"`), `ostiary.toml: mount 1 (senmo): legacy: must not hold a user or a password`},
		{"legacy with a query", senmo(`legacy = "https://old.example.com/?a=b"`), `ostiary.toml: mount 1 (senmo): legacy: must end with its path: no query, no fragment`},
		{"legacy_ca alone", senmo(`legacy_ca = "ca.pem"`), `ostiary.toml: mount 1 (senmo): legacy_ca: is for a mount with legacy, the server to take over from`},
		{"legacy_timeout alone", senmo(`legacy_timeout = "5s"`), `ostiary.toml: mount 1 (senmo): legacy_timeout: is for a mount with legacy, the server to take over from`},
		{"legacy_calls alone", senmo(`legacy_calls = 1`), `ostiary.toml: mount 1 (senmo): legacy_calls: is for a mount with legacy, the server to take over from`},
		{"legacy_apart alone", senmo(`legacy_apart = true`), `ostiary.toml: mount 1 (senmo): legacy_apart: is for a mount with legacy, the server to take over from`},
		{"long legacy_timeout", senmo(old, `legacy_timeout = "21s"`), `ostiary.toml: mount 1 (senmo): legacy_timeout: must be between 100ms and 20s`},
		{"no legacy_calls", senmo(old, `legacy_calls = 0`), `ostiary.toml: mount 1 (senmo): legacy_calls: must be between 1 and 1024`},
		{"shadow of nothing", senmo(`mode = "shadow"`), `ostiary.toml: mount 1 (senmo): mode: "shadow" needs legacy, the server that answers then`},
		{"split with nothing", senmo(`mode = "split"`, `split_percent = 1`), `ostiary.toml: mount 1 (senmo): mode: "split" needs legacy, the server that answers then`},
		{"split of nobody", senmo(old, `mode = "split"`), `ostiary.toml: mount 1 (senmo): mode: "split" needs split_percent or split_accounts: who is answered here`},
		{"split_percent alone", senmo(`split_percent = 1`), `ostiary.toml: mount 1 (senmo): split_percent: is for a mount with legacy, the server to take over from`},
		{"split_accounts alone", senmo(`split_accounts = ["a"]`), `ostiary.toml: mount 1 (senmo): split_accounts: is for a mount with legacy, the server to take over from`},
		{"more than all", senmo(old, `split_percent = 101`), `ostiary.toml: mount 1 (senmo): split_percent: must be between 0 and 100`},
		{"split_accounts without a name", senmo(old, `split_accounts = ["a b"]`), `ostiary.toml: mount 1 (senmo): split_accounts: "a b" is no username or e-mail address`},
		{"text for split_percent", senmo(old, `split_percent = "5"`), `ostiary.toml:4: mount.split_percent: must be an integer`},
		{"unknown mode", senmo(`mode = "x"`), `ostiary.toml: mount 1 (senmo): mode: "x" is not own, shadow or split`},
		{"mfa", senmo(`mfa = "maybe"`), `ostiary.toml: mount 1 (senmo): mfa: "maybe" is not refuse or append`},
		{"mfa with a step of its own", mount(`dialect = "mikrocloud"`, `mfa = "append"`), `ostiary.toml: mount 1 (mikrocloud): mfa: "append" is for dialects without a step for the second factor; this one has it`},
		{"algorithm", senmo(`algorithm = "HS256"`), `ostiary.toml: mount 1 (senmo): algorithm: "HS256" is not RS256, ES256 or EdDSA`},
		{"algorithm none", senmo(`algorithm = ""`), `ostiary.toml: mount 1 (senmo): algorithm: "" is not RS256, ES256 or EdDSA`},
		{"algorithm of nomic", mount(`dialect = "nomic"`, `algorithm = "ES256"`), `ostiary.toml: mount 1 (nomic): algorithm: "ES256" is not RS256, which this dialect promises its clients`},
		{"algorithm of opaque tokens", mount(`dialect = "mikrocloud"`, `algorithm = "RS256"`), `ostiary.toml: mount 1 (mikrocloud): algorithm: the tokens of this dialect are not signed`},
		{"realm of a mount", senmo(`realm = "a b"`), `ostiary.toml: mount 1 (senmo): realm: "a b" is no realm's name (letters, digits, dot, underscore, hyphen; at most 64)`},
		{"empty issuer", senmo(`issuer = ""`), `ostiary.toml: mount 1 (senmo): issuer: must not be empty`},
		{"issuer", senmo(`issuer = "a b"`), `ostiary.toml: mount 1 (senmo): issuer: must be at most 255 printable characters without spaces`},
		{"issuer that is no URI", senmo(`issuer = "1:b"`), `ostiary.toml: mount 1 (senmo): issuer: "1:b" has a colon, and so must be a URI`},
		{"issuer of opaque tokens", mount(`dialect = "mikrocloud"`, `issuer = "a"`), `ostiary.toml: mount 1 (mikrocloud): issuer: the tokens of this dialect name no issuer`},
		{"audience", mount(`dialect = "cloudio"`, `audience = "a"`), `ostiary.toml: mount 1 (cloudio): audience: the tokens of this dialect carry no audience`},
		{"empty audience", senmo(`audience = ""`), `ostiary.toml: mount 1 (senmo): audience: must not be empty`},
		{"empty assertion audience", senmo(`assertion_audience = ""`), `ostiary.toml: mount 1 (senmo): assertion_audience: must not be empty`},
		{"assertion audience", mount(`dialect = "mikrocloud"`, `assertion_audience = "a b"`), `ostiary.toml: mount 1 (mikrocloud): assertion_audience: must be at most 255 printable characters without spaces`},
		{"scope", senmo(`scope = "a  b"`), `ostiary.toml: mount 1 (senmo): scope: "a  b" is no list of scopes separated by single spaces`},
		{"scope where none is", mount(`dialect = "nomic"`, `scope = "a"`), `ostiary.toml: mount 1 (nomic): scope: the tokens of this dialect carry no scope`},

		{"prefix", senmo(`prefix = "a"`), `ostiary.toml: mount 1 (senmo): prefix: "a" must start with "/"`},
		{"root prefix", senmo(`prefix = "/"`), `ostiary.toml: mount 1 (senmo): prefix: "/" must not end with "/"; for the root, leave it out`},
		{"prefix with an end", senmo(`prefix = "/a/"`), `ostiary.toml: mount 1 (senmo): prefix: "/a/" must not end with "/"`},
		{"unclean prefix", senmo(`prefix = "/a/../b"`), `ostiary.toml: mount 1 (senmo): prefix: "/a/../b" is not a clean path`},
		{"doubled slash", senmo(`prefix = "//a"`), `ostiary.toml: mount 1 (senmo): prefix: "//a" is not a clean path`},
		{"our own prefix", senmo(`prefix = "/ostiary/x"`), `ostiary.toml: mount 1 (senmo): prefix: "/ostiary/x" is in the server's own URL space: /ostiary and /.well-known are taken`},
		{"our own prefix below", senmo(`prefix = "/x/.well-known"`), `ostiary.toml: mount 1 (senmo): prefix: "/x/.well-known" is in the server's own URL space: /ostiary and /.well-known are taken`},
		{"prefix with a wildcard", senmo(`prefix = "/{x}"`), `ostiary.toml: mount 1 (senmo): prefix: "/{x}" has more than letters, digits, and ._~-`},
		{"host with a port", senmo(`host = "a.example:443"`), `ostiary.toml: mount 1 (senmo): host: "a.example:443" is no host name (ASCII, without scheme, port, or path)`},
		{"host with a scheme", senmo(`host = "https://a.example"`), `ostiary.toml: mount 1 (senmo): host: "https://a.example" is no host name (ASCII, without scheme, port, or path)`},
		{"host with an end", senmo(`host = "a.example."`), `ostiary.toml: mount 1 (senmo): host: "a.example." is no host name (ASCII, without scheme, port, or path)`},

		{"any origin", senmo(`cors_origins = ["*"]`), `ostiary.toml: mount 1 (senmo): cors_origins: "*" is no origin such as https://app.example.com`},
		{"null origin", senmo(`cors_origins = ["null"]`), `ostiary.toml: mount 1 (senmo): cors_origins: "null" is no origin such as https://app.example.com`},
		{"origin with a path", senmo(`cors_origins = ["https://a.example/"]`), `ostiary.toml: mount 1 (senmo): cors_origins: "https://a.example/" is no origin such as https://app.example.com`},
		{"origin with a user", senmo(`cors_origins = ["https://u@a.example"]`), `ostiary.toml: mount 1 (senmo): cors_origins: "https://u@a.example" is no origin such as https://app.example.com`},
		{"origin with wildcard", senmo(`cors_origins = ["https://*.example"]`), `ostiary.toml: mount 1 (senmo): cors_origins: "https://*.example" is no origin such as https://app.example.com`},

		{"no lifetime", senmo(`access_ttl = "0s"`), `ostiary.toml: mount 1 (senmo): access_ttl: must be more than zero`},
		{"negative idle", senmo(`session_idle = "-1h"`), `ostiary.toml: mount 1 (senmo): session_idle: must be more than zero`},
		{"no session", senmo(`session_max = "0d"`), `ostiary.toml: mount 1 (senmo): session_max: must be more than zero`},
		{"part of a second", senmo(`access_ttl = "1500ms"`), `ostiary.toml: mount 1 (senmo): access_ttl: must be whole seconds`},
		{"idle over max", senmo(`session_idle = "2d"`, `session_max = "1d"`), `ostiary.toml: mount 1 (senmo): session_idle: is longer than session_max`},
		{"access over max", senmo(`access_ttl = "91d"`), `ostiary.toml: mount 1 (senmo): access_ttl: is longer than session_max`},
		{"access of opaque tokens", mount(`dialect = "mikrocloud"`, `access_ttl = "1h"`), `ostiary.toml: mount 1 (mikrocloud): access_ttl: the tokens of this dialect live as long as their session: set session_max`},
		{"negative retry", senmo(`refresh_retry = "-1s"`), `ostiary.toml: mount 1 (senmo): refresh_retry: must not be negative`},
		{"retry without refresh", mount(`dialect = "nomic"`, `refresh_retry = "1s"`), `ostiary.toml: mount 1 (nomic): refresh_retry: this dialect has no refresh`},

		{"realm that is a number", "realm = 5\n", `ostiary.toml:1: realm: must be a string`},
		{"policy that is one table", "[policy]\nrealm = \"a\"\n", `ostiary.toml:1: policy: is a list of tables: write [[policy]]`},
		{"policy that is a list", "policy = [\"a\"]\n", `ostiary.toml:1: policy: must be a table [[policy]]`},
		{"policy without a realm", policy(), `ostiary.toml: policy 1: realm: missing`},
		{"realm of a policy", policy(`realm = "a b"`), `ostiary.toml: policy 1: realm: "a b" is no realm's name (letters, digits, dot, underscore, hyphen; at most 64)`},
		{"policy twice", policy(`realm = "a"`) + policy(`realm = "a"`), `ostiary.toml: policy 2 (a): realm: a [[policy]] before has it too`},
		{"unknown key of a policy", policy(`realm = "a"`, `password_max = 9`), `ostiary.toml:3: unknown key "policy.password_max"`},
		{"other case in a policy", policy(`Realm = "a"`), `ostiary.toml:2: unknown key "policy.Realm"`},
		{"policy", policy(`realm = "a"`, `password_policy = "NIST"`), `ostiary.toml: policy 1 (a): password_policy: "NIST" is not nist or mikrocloud`},
		{"short passwords", policy(`realm = "a"`, `password_min = 7`), `ostiary.toml: policy 1 (a): password_min: must be between 8 and 64`},
		{"long passwords", policy(`realm = "a"`, `password_min = 65`), `ostiary.toml: policy 1 (a): password_min: must be between 8 and 64`},
		{"no length", policy(`realm = "a"`, `password_min = 0`), `ostiary.toml: policy 1 (a): password_min: must be between 8 and 64`},
		{"length as a text", policy(`realm = "a"`, `password_min = "15"`), `ostiary.toml:3: policy.password_min: must be an integer`},
		{"no path of breached passwords", policy(`realm = "a"`, `password_breached = ""`), `ostiary.toml: policy 1 (a): password_breached: must not be empty`},

		{"mount twice", senmo() + senmo(), `ostiary.toml: mount 2 (senmo): dialect: already served at any host by mount 1 (senmo)`},
		{"mount twice at a host", senmo(`host = "a.example"`, `prefix = "/x"`) + senmo(`host = "A.example"`, `prefix = "/x"`), `ostiary.toml: mount 2 (senmo): dialect: already served at a.example under /x by mount 1 (senmo)`},
		{"two realms", senmo() + mount(`dialect = "nomic"`, `realm = "b"`), `ostiary.toml: mount 2 (nomic): realm: "b" at any host meets realm "default" there, without a host or prefix of its own, in mount 1 (senmo)`},
		{"two realms, one on any host", senmo() + senmo(`host = "b.example"`, `realm = "b"`), `ostiary.toml: mount 2 (senmo): realm: "b" at b.example meets realm "default" there, without a host or prefix of its own, in mount 1 (senmo)`},
		{"one issuer for two", senmo(`issuer = "https://a"`) + mount(`dialect = "cloudio"`, `issuer = "https://a"`), `ostiary.toml: mount 2 (cloudio): issuer: "https://a" of realm "default" is also that of mount 1 (senmo)`},
		{"two assertion audiences for one", senmo(`assertion_audience = "a"`) + senmo(`prefix = "/b"`, `assertion_audience = "b"`), `ostiary.toml: mount 2 (senmo): assertion_audience: "b" differs from "a" for the same sessions in mount 1 (senmo)`},
		{"assertion audience and its default", senmo(`assertion_audience = "a"`) + senmo(`prefix = "/b"`), `ostiary.toml: mount 2 (senmo): assertion_audience: "urn:ostiary:default" differs from "a" for the same sessions in mount 1 (senmo)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.file, "serve")
			if got := line(err); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestConfig_GoodMounts(t *testing.T) {
	tests := map[string]string{
		"one dialect at two hosts":    "[[mount]]\ndialect = \"senmo\"\nhost = \"a.example\"\n[[mount]]\ndialect = \"senmo\"\nhost = \"b.example\"\nrealm = \"b\"\n",
		"a host beside any host":      "[[mount]]\ndialect = \"senmo\"\n[[mount]]\ndialect = \"senmo\"\nhost = \"b.example\"\n",
		"two realms, two prefixes":    "[[mount]]\ndialect = \"senmo\"\n[[mount]]\ndialect = \"senmo\"\nrealm = \"b\"\nprefix = \"/b\"\n",
		"one issuer, one dialect":     "[[mount]]\ndialect = \"senmo\"\nissuer = \"x\"\n[[mount]]\ndialect = \"senmo\"\nprefix = \"/b\"\nissuer = \"x\"\n",
		"one issuer, two realms":      "[[mount]]\ndialect = \"senmo\"\nissuer = \"x\"\n[[mount]]\ndialect = \"cloudio\"\nrealm = \"b\"\nprefix = \"/b\"\nissuer = \"x\"\n",
		"nomic's default at two":      "[[mount]]\ndialect = \"nomic\"\n[[mount]]\ndialect = \"nomic\"\nprefix = \"/b\"\n",
		"an audience that is none":    "[[mount]]\ndialect = \"nomic\"\naudience = \"\"\n",
		"two assertion audiences":     "[[mount]]\ndialect = \"senmo\"\nassertion_audience = \"x\"\n[[mount]]\ndialect = \"senmo\"\nprefix = \"/b\"\naudience = \"b\"\n[[mount]]\ndialect = \"senmo\"\nrealm = \"b\"\nprefix = \"/c\"\n",
		"an assertion audience, said": "[[mount]]\ndialect = \"senmo\"\n[[mount]]\ndialect = \"senmo\"\nprefix = \"/b\"\nassertion_audience = \"urn:ostiary:default\"\n",
		"prefix that looks like ours": "[[mount]]\ndialect = \"nomic\"\nprefix = \"/ostiary-2/v1.0\"\n",
		"an empty file":               "# nothing\n",
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, file, "serve"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfig_UnreadableFile(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir + "/none.toml": "config: " + dir + "/none.toml does not exist",
		dir:                "config: " + dir + " is a directory",
	} {
		if _, err := parse(t, "", "serve", "--config", path); line(err) != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	big := dir + "/big.toml"
	if err := errors.Join(os.WriteFile(big, nil, 0o600), os.Truncate(big, 1<<36)); err != nil { // more than memory has
		t.Fatal(err)
	}
	if _, err := Load(big); err == nil || !strings.HasSuffix(err.Error(), "longer than 1 MiB: not a configuration file") {
		t.Error(err)
	}
}

func TestConfig_BadFlagsAndEnvironment(t *testing.T) {
	if _, err := parse(t, "", "serve", "--listen", "0.0.0.0:1", "--trusted-proxy", "10.0.0.0/8"); err != nil {
		t.Error("a declared proxy must be enough:", err)
	}
	if _, err := parse(t, "", "serve", "--listen", "0.0.0.0:1", "--tls-cert", "a", "--tls-key", "b"); err != nil {
		t.Error("TLS must be enough:", err)
	}
	t.Setenv("OSTIARY_LOG_LEVEL", "loud")
	if _, err := parse(t, "", "serve"); line(err) != `log_level: "loud" is not debug, info, warn or error` {
		t.Error(err)
	}
}

// FuzzParse: whatever the file holds, the answer is mounts or one line.
func FuzzParse(f *testing.F) {
	f.Add(fullMount)
	f.Add("data = 1\n")
	f.Add("[[policy]]\nrealm = \"a\"\npassword_policy = \"mikrocloud\"\npassword_min = 8\n")
	f.Add("realm = \"a\"\n[[policy]]\nrealm = \"a\"\n")
	f.Add("[[mount]]\ndialect = \"nomic\"\nsession_max = \"1d\"\n")
	f.Add("[mount]\n\"a\\nb\" = 1\n")
	f.Add("trusted_proxy = [[]]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.toml", []byte(text))
		if err == nil {
			s := Shared{Realm: "default", file: file}
			var mounts []any
			rules, e := s.Passwords()
			for name, r := range rules {
				if name == "" || r.Min != 0 && r.Min < leastPassword {
					t.Errorf("%q: %+v", name, r)
				}
			}
			ms, e2 := s.Mounts(four)
			for _, m := range ms {
				mounts = append(mounts, m)
				if m.SessionMax <= 0 || m.SessionIdle < 0 || m.AccessTTL < 0 || m.RefreshRetry < 0 {
					t.Errorf("a lifetime of %+v", m)
				}
			}
			if err = cmp.Or(e, e2); err == nil && len(mounts) == 0 {
				t.Error("neither mounts nor an error")
			}
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("more than one line: %q", err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30d", "1d12h", "60s", "-1h", "36500d9999999h", "d", "1d1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil && strings.Contains(text, "d") && d < 0 {
			t.Errorf("%q became %d", text, d)
		}
	})
}

// No setting has the server make a key that is too weak, or of a size that it can't make.
func TestThreat33_WeakKeys(t *testing.T) {
	for _, bits := range []string{"1024", "512", "2047", "-2048", "2049", "1", "8192", "65536"} {
		for from, args := range map[string][]string{"file": nil, "flag": {"--rsa-bits=" + bits}} {
			file := "rsa_bits = " + bits + "\n"
			if from == "flag" {
				file = ""
			}
			if _, err := parse(t, file, append([]string{"serve"}, args...)...); line(err) != "rsa_bits: must be 0, 2048, 3072 or 4096" {
				t.Errorf("rsa_bits %s by %s: %v", bits, from, err)
			}
		}
		t.Setenv("OSTIARY_RSA_BITS", bits)
		if _, err := parse(t, "", "account"); line(err) != "rsa_bits: must be 0, 2048, 3072 or 4096" {
			t.Errorf("rsa_bits %s of the environment: %v", bits, err)
		}
		if err := os.Unsetenv("OSTIARY_RSA_BITS"); err != nil {
			t.Fatal(err)
		}
	}
	for _, bits := range []int{0, 2048, 3072, 4096} {
		if c, err := parse(t, fmt.Sprintf("rsa_bits = %d\n", bits), "serve"); err != nil || c.RSABits != bits {
			t.Errorf("rsa_bits %d: %v", bits, err)
		}
	}
	for _, algorithm := range []string{"none", "HS256", "RS1", "RS512", "PS256", "ES256K", "rs256"} {
		if _, err := parse(t, "[[mount]]\ndialect = \"senmo\"\nalgorithm = \""+algorithm+"\"\n", "serve"); err == nil {
			t.Errorf("algorithm %s is taken", algorithm)
		}
	}
}
