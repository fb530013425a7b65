package ostiaryauth

import (
	"crypto/rsa"
	"testing"
)

// A key of a server that Ostiary takes over from is published with its issuer: it is good for the access tokens of that
// one, and for nothing that is Ostiary's own, whatever its claims say.
func TestThreat24_ForeignKeySignsForItsIssuerAlone(t *testing.T) {
	p := newPeer(t)
	k := p.key["RS256"]
	old := map[string]any{
		"kty": "RSA", "kid": k.kid, "use": "sig", "alg": "RS256", "e": "AQAB", "n": b64(k.private.Public().(*rsa.PublicKey).N.Bytes()), "iss": nomicIs,
	}
	publish := func(jwk map[string]any) {
		p.set(func() { p.jwks = text(map[string]any{"keys": []any{jwk, p.key["ES256"].jwk()}}) })
	}
	publish(old)
	direct, behind := p.verifier(t), p.verifier(t, asserted)
	bare := with(nomicClaims(), map[string]any{"jti": nil, "nbf": nil}) // as the old server makes them
	i, err := verify(direct, "Authorization: Bearer "+k.sign(t, "JWT", bare))
	if err != nil || i.Dialect != "nomic" || i.Session != "" || i.Issuer != nomicIs {
		t.Fatalf("%+v, %v", i, err)
	}
	const reason = "the key of another server"
	refused(t, direct, "a token of senmo", k.sign(t, "JWT", senmoClaims()), reason)
	refused(t, direct, "a token of cloudio", k.sign(t, "JWT", cloudioClaims()), reason)
	if i, err := verify(behind, AssertionHeader+": "+k.sign(t, "at+jwt", assertionClaims())); err == nil {
		t.Errorf("an assertion by a foreign key: %+v", i)
	}
	if i, err := verify(behind, AssertionHeader+": "+p.key["ES256"].sign(t, "at+jwt", assertionClaims())); err != nil {
		t.Errorf("an assertion of Ostiary's: %+v, %v", i, err)
	}
	for name, issuer := range map[string]any{"none": "", "another": "https://old.example.com", "no text": 7} {
		publish(with(old, map[string]any{"iss": issuer}))
		refused(t, p.verifier(t), name, k.sign(t, "JWT", nomicClaims()), reason)
	}
}
