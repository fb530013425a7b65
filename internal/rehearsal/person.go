package main

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/ostiary/ostiary/internal/totp"
)

// person is somebody whom one of the old servers knows.
type person struct {
	Username    string `json:"username,omitempty"`
	Email       string `json:"email,omitempty"`
	Password    string `json:"password"`
	DisplayName string `json:"displayName"`
	Org         string `json:"org,omitempty"`
	Subject     string `json:"subject"`
	TOTP        string `json:"totp,omitempty"` // base32

	dialect string
	secret  []byte // of the second factor
	late    bool   // signs in for the first time when all have moved
}

const (
	perDialect = 6
	withFactor = 2 // of those of mikrocloud
	late       = 2 // of those of cloudio and senmo
)

var dialects = []string{"cloudio", "mikrocloud", "nomic", "senmo"}

// everybody is who the old servers know. One address is in two of them with different
// passwords, and one with the same.
func everybody() (all []*person) {
	for d, dialect := range dialects {
		for i := range perDialect {
			name := fmt.Sprintf("%s%d", dialect, i+1)
			p := &person{
				Username: name, Email: name + "@example.com", Password: "the long pass phrase of " + name, DisplayName: "Number " + name,
				Org: "example", Subject: fmt.Sprint(1000*(d+1) + i), dialect: dialect,
				late: (dialect == "cloudio" || dialect == "senmo") && i >= perDialect-late,
			}
			switch {
			case dialect == "mikrocloud":
				p.Username = ""
				if i < withFactor {
					p.secret = totp.NewSecret()
					p.TOTP = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(p.secret)
				}
			case dialect == "cloudio" && (i == 0 || i == perDialect-1): // by the name of somebody else, or the same one
				p.Username = fmt.Sprintf("nomic%d", i+1)
			case dialect == "senmo" && i < 2:
				p.Email = fmt.Sprintf("mikrocloud%d@example.com", perDialect-i)
				if i == 1 {
					p.Password = fmt.Sprintf("the long pass phrase of mikrocloud%d", perDialect-i)
				}
			}
			all = append(all, p)
		}
	}
	return all
}

// name is what the person signs in with.
func (p *person) name() string {
	if p.dialect == "mikrocloud" {
		return p.Email
	}
	return p.Username
}

// iterations are those of the old servers' hashes; more would only take longer.
const iterations = 1000

func (p *person) hash(salt string) []byte {
	key, err := pbkdf2.Key(sha256.New, p.Password, []byte(salt), iterations, sha256.Size)
	if err != nil {
		panic(err) // never: only FIPS 140 mode has limits that these exceed
	}
	return key
}

// exports are the files that the old servers let one have, by their names.
func exports(all []*person) (map[string][]byte, error) {
	var nomic, mikrocloud, senmo bytes.Buffer
	lines := json.NewEncoder(&nomic)
	hashed, bare := csv.NewWriter(&mikrocloud), csv.NewWriter(&senmo)
	errs := []error{
		hashed.Write([]string{"email", "display_name", "password_hash", "totp_secret"}),
		bare.Write([]string{"username", "email", "email_verified", "display_name", "aliases.senmo"}),
	}
	for i, p := range all {
		salt := fmt.Sprintf("salt%04d", i)
		switch p.dialect {
		case "nomic": // a Django application
			errs = append(errs, lines.Encode(map[string]any{
				"username": p.Username, "email": p.Email, "display_name": p.DisplayName, "aliases": map[string]string{"nomic": p.Subject},
				"password_hash": fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", iterations, salt, base64.StdEncoding.EncodeToString(p.hash(salt))),
			}))
		case "mikrocloud": // a Flask application
			hash := fmt.Sprintf("pbkdf2:sha256:%d$%s$%s", iterations, salt, hex.EncodeToString(p.hash(salt)))
			errs = append(errs, hashed.Write([]string{p.Email, p.DisplayName, hash, p.TOTP}))
		case "senmo":
			errs = append(errs, bare.Write([]string{p.Username, p.Email, "true", p.DisplayName, p.Subject}))
		}
	}
	hashed.Flush()
	bare.Flush()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return map[string][]byte{"nomic.jsonl": nomic.Bytes(), "mikrocloud.csv": mikrocloud.Bytes(), "senmo.csv": senmo.Bytes()}, nil
}
