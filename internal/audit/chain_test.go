package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	realm   = uuid.MustParse("019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21")
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	testKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

// The vectors are what docs/audit.md says, written out: sha256sum says the same of them.
func TestSum_Vectors(t *testing.T) {
	first := Event{
		ID: uuid.MustParse("019a0b5e-7e3b-7c11-8d7c-000000000001"), RealmID: realm, At: noon, Kind: RealmCreated, Actor: "server", Detail: "default",
	}
	second := Event{
		ID: uuid.MustParse("019a0b5e-7e3b-7c11-8d7c-000000000002"), RealmID: realm, At: noon.Add(time.Hour), Kind: SessionEnded,
		Account: uuid.MustParse("019a0b5e-7e3b-7c11-8d7c-0000000000aa"), Session: uuid.MustParse("019a0b5e-7e3b-7c11-8d7c-0000000000bb"),
		Dialect: "senmo", Address: "2001:db8::1", RequestID: "r-1", Actor: "service robot", Token: "0123abcd", Detail: `a "quoted" ü, and a \ `,
	}
	const (
		firstText = "16:ostiary audit v1,64:" + zeros + ",36:019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21,1:1,36:019a0b5e-7e3b-7c11-8d7c-000000000001," +
			"27:2026-03-01T11:00:00.123456Z,13:realm_created,0:,0:,0:,0:,0:,6:server,0:,7:default,"
		secondText = "16:ostiary audit v1,64:%s,36:019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21,1:2,36:019a0b5e-7e3b-7c11-8d7c-000000000002," +
			"27:2026-03-01T12:00:00.123456Z,13:session_ended,36:019a0b5e-7e3b-7c11-8d7c-0000000000aa,36:019a0b5e-7e3b-7c11-8d7c-0000000000bb," +
			"5:senmo,11:2001:db8::1,3:r-1,13:service robot,8:0123abcd,23:a \"quoted\" ü, and a \\ ,"
		firstHash  = "3da748acb7968195ec29a3db9fda138a86083809c44d90f41260ad4fbe2c92a2"
		secondHash = "e21c23072dbcee9d265a3fa86e980daada15890397b68d942e0c1cb7524240df"
	)
	head := first.Follow(Head{})
	if sum := sha256.Sum256([]byte(firstText)); hex.EncodeToString(sum[:]) != firstHash || head.String() != "1:"+firstHash {
		t.Errorf("the first: %x by hand, %s", sum, head)
	}
	head = second.Follow(head)
	if sum := sha256.Sum256(fmt.Appendf(nil, secondText, firstHash)); hex.EncodeToString(sum[:]) != secondHash || head.String() != "2:"+secondHash {
		t.Errorf("the second: %x by hand, %s", sum, head)
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// No two entries that differ have one text: what ends one field begins another nowhere.
func TestSum_EveryFieldCounts(t *testing.T) {
	base := Event{ID: realm, RealmID: realm, Seq: 7, At: noon, Kind: SignedIn, Account: realm, Session: realm,
		Dialect: "a", Address: "b", RequestID: "c", Actor: "d", Token: "e", Detail: "f"}
	seen := map[Hash]string{base.Sum(Hash{}): "the base", base.Sum(Hash{1}): "after another hash"}
	other := uuid.MustParse("019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c22")
	for name, change := range map[string]func(*Event){
		"realm": func(e *Event) { e.RealmID = other }, "seq": func(e *Event) { e.Seq++ }, "id": func(e *Event) { e.ID = other },
		"at": func(e *Event) { e.At = e.At.Add(time.Microsecond) }, "kind": func(e *Event) { e.Kind = SignInFailed },
		"account": func(e *Event) { e.Account = other }, "no account": func(e *Event) { e.Account = uuid.Nil },
		"session": func(e *Event) { e.Session = other }, "no session": func(e *Event) { e.Session = uuid.Nil },
		"dialect": func(e *Event) { e.Dialect = "x" }, "address": func(e *Event) { e.Address = "x" }, "request": func(e *Event) { e.RequestID = "x" },
		"actor": func(e *Event) { e.Actor = "x" }, "token": func(e *Event) { e.Token = "x" }, "detail": func(e *Event) { e.Detail = "x" },
		"shifted": func(e *Event) { e.Token, e.Detail = "", "ef" }, "shifted with its length": func(e *Event) { e.Token, e.Detail = "e,1:f", "" },
		"far": func(e *Event) { e.At = time.UnixMicro(1 << 62) }, "farther": func(e *Event) { e.At = time.UnixMicro(1<<62 + 1) },
		"before": func(e *Event) { e.At = time.UnixMicro(-1 << 62) },
	} {
		e := base
		change(&e)
		if before, ok := seen[e.Sum(Hash{})]; ok {
			t.Errorf("%s has the hash of %s", name, before)
		}
		seen[e.Sum(Hash{})] = name
	}
}

func TestFollow_KeepsWhatEveryReaderKeeps(t *testing.T) {
	e := Event{RealmID: realm, At: noon, Detail: "a\x00b\xffc\nd", Actor: strings.Repeat("é", 3)}
	head := e.Follow(Head{Seq: 41})
	if head.Seq != 42 || e.Seq != 42 || e.Hash != head.Hash || e.Detail != "a\uFFFDb\uFFFDc\nd" || e.At.Nanosecond() != 123456000 || e.At.Location() != time.UTC {
		t.Errorf("%+v", e)
	}
}

func TestTokenTag(t *testing.T) {
	// printf %s token | sha256sum
	if got := TokenTag("token"); got != "3c469e9d" || TokenTag("") != "" {
		t.Errorf("got %q and %q", got, TokenTag(""))
	}
}

func TestParseHead(t *testing.T) {
	good := Head{Seq: 12, Hash: sha256.Sum256(nil)}
	if got, err := ParseHead(good.String()); err != nil || got != good {
		t.Errorf("%v, %v", got, err)
	}
	hash := good.Hash.String()
	for _, bad := range []string{"", ":", "12", "12:", ":" + hash, "12:" + hash[1:], "12:" + hash + "0", "12:" + hash + "00", "-1:" + hash, "+1:" + hash, "012:" + hash,
		" 12:" + hash, "12: " + hash[1:], "12:" + strings.ToUpper(hash), "99999999999999999999:" + hash, "12:" + hash + "\n", "1_2:" + hash} {
		if got, err := ParseHead(bad); err == nil || got != (Head{}) {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add("12:" + zeros)
	f.Add("9223372036854775807:" + strings.Repeat("ff", 32))
	f.Add("12:")
	f.Fuzz(func(t *testing.T, text string) {
		head, err := ParseHead(text)
		if err == nil && head.String() != text || err != nil && head != (Head{}) {
			t.Errorf("%q is read as %v, %v", text, head, err)
		}
	})
}

// TestCheckpoint_SignsEverything: each field is in what is signed.
func TestCheckpoint_SignsEverything(t *testing.T) {
	c := Checkpoint{RealmID: realm, Head: Head{3, Hash{1}}, At: noon}
	c.Sign(testKey)
	public := testKey.Public().(ed25519.PublicKey)
	if !c.Signed(public) {
		t.Fatal("not signed")
	}
	const text = "27:ostiary audit checkpoint v1,36:019a0b5e-7e3b-7c11-8d7c-0f5b8e7a4c21,66:3:0100000000000000000000000000000000000000000000000000000000000000," +
		"27:2026-03-01T11:00:00.123456Z,4:head,"
	if got := string(c.text()); got != text {
		t.Errorf("signed is %s", got)
	}
	for name, change := range map[string]func(*Checkpoint){
		"realm": func(c *Checkpoint) { c.RealmID = uuid.Nil }, "seq": func(c *Checkpoint) { c.Seq++ }, "hash": func(c *Checkpoint) { c.Hash[31]++ },
		"at": func(c *Checkpoint) { c.At = c.At.Add(time.Microsecond) }, "cut": func(c *Checkpoint) { c.Cut = true },
		"signature": func(c *Checkpoint) { c.Signature = append([]byte{1}, c.Signature[1:]...) }, "no signature": func(c *Checkpoint) { c.Signature = nil },
	} {
		other := c
		change(&other)
		if other.Signed(public) {
			t.Errorf("%s may be changed", name)
		}
	}
}
