package auth_test

import (
	"testing"

	"github.com/ostiary/ostiary/internal/auth"
	"github.com/ostiary/ostiary/internal/password"
)

// Whatever another system hashed a password with, the first login here hashes it anew.
func TestSignIn_RehashesWhatIsBrought(t *testing.T) {
	const horse = "correct horse battery staple"
	w := newWorld(t)
	for i, brought := range []struct {
		hash    string
		options password.ForeignOptions
	}{
		{hash: "$argon2i$v=19$m=4096,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$/Mt6aNguOFbxXKLKp9Lh7Vyl736GhCcVmb1LP82dxUk"},
		{hash: "$argon2d$v=19$m=4096,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$ZIAViiVcHifMY6l2fzLij3ytP/nAAYyl8dRmBpZsoGQ"},
		{hash: "$2y$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K"},
		{hash: "$scrypt$ln=10,r=8,p=2$c2FsdHNhbHRzYWx0c2FsdA$qadhXBV6dk7aDLzFfdfaYy/Yq2zBxbYIwoxHMeMuxvs"},
		{hash: "$y$j75$$lJ/s6i9uxj3JV6kTySViPAoI8zWL4lGdsDQUyZvSic/"},
		{hash: "$pbkdf2$1004$c2FsdHNhbHRzYWx0c2FsdA$Uj7g6ZbDE3wfI4ZQZDLgBavq.k8"},
		{hash: "$5$rounds=1000$saltsalt$TFDrLHsZ0msaZlw.ZViQNNRjyMG9kAB3KDkA8eLkI.."},
		{hash: "$6$rounds=6000$saltsalt$.wR6zOMckLq47MxWRr1LmxkkEdu.9irzljlNcIMuYTjCIH.ccjfvltNp96JhzjLWKZHBiSZk2OGn8WdBJ5vvE/"},
		{hash: "$1$saltsalt$BsXyQbZiQujHkdhwPwdol."},
		{hash: "$P$7y2/Tq0thNh3zGQ4bquBvi4MoDHs1w/"},
		{hash: "pbkdf2_sha256$2000$Vee5vunvC2pbxlZFcNbBaU$mS0dndZ74oxTAvV3RHFyWXoOJIoWejGwwMBLTIuhu04="},
		{hash: "pbkdf2_sha1$2000$PJy2L8wGdTOXUCa0ft7L8G$6KqHgzU3qkXWqu/wjlkvXow6PwI="},
		{hash: "argon2$argon2id$v=19$m=4096,t=2,p=8$UzlQMDh3Q0M4M2RiTEdzenl3UTZyYw$ITxpstyfwznVBdTAJ1/V8A"},
		{hash: "bcrypt_sha256$$2b$05$Se9xz2M32/tBU3MyPbFgeOsT95oZ8nOtSeplRhDT9L1nzY9uD/rzC"},
		{hash: "bcrypt$$2b$05$oPEA5C.Sh8wMtjT1U/sUBeXJWGHn/U9PXc0qFQVYNt/Op50DPuCWq"},
		{hash: "md5$Se26TfI3ZNAXF35dLJzBZq$5ba21a90df36f2c4dcdb9fafbf6dc09d"},
		{hash: "sha1$$abf7aad6438836dbe526aa231abde2d0eef74d42"},
		{hash: "pbkdf2:sha256:1000$x0rpQVntxoiXt0qp$e97bbfd6092f41e89164f91945b63e86ec04bbe59fe54f56a45e636a4dbcd3dc"},
		{hash: "scrypt:32768:8:1$KsTNoGJlPEAl6m6V$0e0aceee65407e64e781f56ec7507976ebd76b1485a764d892ea1c10f1d5dc5e5b9b027871ec53e39e95973653a62ec2d56c7f40f434e39aa44ef9c362dd6e1e"},
		{hash: "sha1$VKks0yzdCUJThALo$be6d99849057edc63b26da6dcc7131e6eee57da2"},
		{hash: "{SSHA}CSSb4aSPv0jFceMQoCLb3TmdUwIYA0Co"},
		{hash: "{PBKDF2-SHA256}2000$A4DwnlNqzfk/51wL4RzDWA$rFVUJDEAgjYawpxGjea7SRUOzPetU6gMf8RFrZURy9Y"},
		{hash: "{CRYPT}$1$FTVAOQXo$J12bkbTLaqSQEGvAtS2P4/"},
		{hash: "9cc2ae8a1ba7a93da39b46fc1019c481", options: password.ForeignOptions{Template: "md5({password})"}},
		{hash: "pn4iRidZ3z7Itz1U70YlAqOKCqhCpKhenH1pqgvRx9/Mjj2tm3Bo+hdf/kqcCy4SJwxRMQdTlAB8IQiSkUDWBg==", options: password.ForeignOptions{Salt: "f+jYSiY/7FqldA==", Firebase: &password.Firebase{
			SignerKey: "wDef1JSuNII/vcf691EfUIbnJ2fKtRwmDm9s0/xMiMF/VmNx7+n/VKHi8nefncXNa2hCD4bsmyOBGFeJy35FCA==", SaltSeparator: "Bw==", Rounds: 8, MemoryCost: 11}}},
	} {
		t.Run(brought.hash[:12], func(t *testing.T) {
			name := "brought" + string(rune('a'+i))
			hash := brought.hash
			if brought.options != (password.ForeignOptions{}) {
				var err error
				if hash, err = password.Foreign(hash, brought.options); err != nil {
					t.Fatal(err)
				}
			}
			a, _, err := w.svc.CreateAccount(w.ctx, w.realm.ID, auth.NewAccount{Username: name, PasswordHash: hash}, client)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // by the hash that was brought, and by our own
				if _, err := w.svc.SignIn(w.ctx, w.one, creds(name, horse), client); err != nil {
					t.Fatal(err)
				}
				rec, err := w.store.AccountByID(w.ctx, w.realm.ID, a.ID, "")
				if err != nil {
					t.Fatal(err)
				}
				if got := password.Scheme(rec.PasswordHash); got != password.DefaultScheme {
					t.Errorf("hashed to %q", got)
				}
			}
		})
	}
	schemes, err := w.store.HashSchemes(w.ctx, w.realm.ID)
	if err != nil || len(schemes) > 0 {
		t.Errorf("the floor still follows %q, %v", schemes, err)
	}
	_, err = w.svc.SignIn(w.ctx, w.one, creds("broughta", horse+"x"), client)
	w.wantCode(err, auth.CodeBadCredentials)
}
