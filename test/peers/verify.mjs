// Verifies JWTs as a resource server would, by two libraries, with nothing but the
// published keys. Standard input: [{name, jwks, token, issuer, audience, algorithm}, …],
// jwks being a URL. It prints one JSON line for each: {name, jose: claims, aws: claims}.
import { createRemoteJWKSet, jwtVerify } from "jose";
import { JwtVerifier } from "aws-jwt-verify/jwt-verifier";

let input = "";
for await (const chunk of process.stdin) input += chunk;

for (const t of JSON.parse(input)) {
  const { payload } = await jwtVerify(t.token, createRemoteJWKSet(new URL(t.jwks)), {
    issuer: t.issuer,
    audience: t.audience ?? undefined,
    algorithms: [t.algorithm],
    typ: "JWT",
    requiredClaims: ["iss", "sub", "iat", "exp", "jti"],
  });
  // The second library fetches keys by HTTPS alone, so it is given them.
  const verifier = JwtVerifier.create({ issuer: t.issuer, audience: t.audience ?? null, jwksUri: "https://unused.invalid/jwks.json" });
  verifier.cacheJwks(await (await fetch(t.jwks)).json());
  const aws = verifier.verifySync(t.token);
  // And neither takes a token that was changed.
  const changed = t.token.replace(/\.[^.]*$/, (s) => "." + (s[1] === "A" ? "B" : "A") + s.slice(2));
  const refused = await jwtVerify(changed, createRemoteJWKSet(new URL(t.jwks))).then(() => false, () => true);
  console.log(JSON.stringify({ name: t.name, jose: payload, aws, refused }));
}
