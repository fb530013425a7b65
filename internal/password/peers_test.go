package password

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func unhex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}

// peer runs a program that makes hashes. Without TEST_PEERS=1, one that can't be run is a skip.
func peer(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(input)
	var fault bytes.Buffer
	cmd.Stderr = &fault
	out, err := cmd.Output()
	if err != nil && os.Getenv("TEST_PEERS") != "1" {
		t.Skipf("%s: %v", name, err)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &fault)
	}
	return strings.TrimSpace(string(out))
}

// TestPeers_Commands takes what commands make of a password.
func TestPeers_Commands(t *testing.T) {
	h := newHasher()
	for _, command := range []string{
		"argon2 saltsaltsalt -id -e -t 2 -m 12 -p 1", "argon2 saltsaltsalt -i -e -t 3 -m 12 -p 2", "argon2 saltsaltsalt -d -e -t 1 -k 4096 -p 4",
		"mkpasswd -s -m yescrypt -R 1", "mkpasswd -s -m bcrypt -R 5", "mkpasswd -s -m bcrypt-a -R 5", "mkpasswd -s -m sha512crypt -R 2000", "mkpasswd -s -m sha256crypt", "mkpasswd -s -m md5crypt",
		"openssl passwd -1 -stdin", "openssl passwd -apr1 -stdin", "openssl passwd -5 -stdin", "openssl passwd -6 -stdin",
	} {
		t.Run(command, func(t *testing.T) {
			words := strings.Fields(command)
			rightAlone(t, h, foreign(t, peer(t, horse, words[0], words[1:]...), ForeignOptions{}), horse)
		})
	}
}

// TestPeers_Libraries takes what the libraries of other systems make of passwords.
func TestPeers_Libraries(t *testing.T) {
	h := newHasher()
	for _, program := range [][]string{{"/usr/bin/python3", "../../test/peers/hashes.py"}, {"node", "../../test/peers/hashes.mjs"}} {
		t.Run(filepath.Base(program[0]), func(t *testing.T) {
			lines := json.NewDecoder(strings.NewReader(peer(t, "", program[0], program[1], horse, "pässwörd mit 😀 und Ende", strings.Repeat("72", 36))))
			n := 0
			for ; lines.More(); n++ {
				var line struct {
					Name, Password, Hash, Salt, SaltSeparator, SignerKey string
					MemCost, Rounds                                      int
				}
				if err := lines.Decode(&line); err != nil {
					t.Fatal(err)
				}
				o := ForeignOptions{Salt: line.Salt}
				if line.SignerKey != "" {
					o.Firebase = &Firebase{line.SignerKey, line.SaltSeparator, line.Rounds, line.MemCost}
				}
				t.Run(line.Name, func(t *testing.T) { rightAlone(t, h, foreign(t, line.Hash, o), line.Password) })
			}
			if n < 9 {
				t.Errorf("%d hashes", n)
			}
		})
	}
}
