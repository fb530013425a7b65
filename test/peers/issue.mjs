// An old server that signs with jose: it prints {jwks, tokens: {algorithm: token}}, as
// one JSON line. Arguments: issuer, subject.
import { SignJWT, exportJWK, generateKeyPair } from "jose";

const [issuer, subject] = process.argv.slice(2);
const jwks = { keys: [] };
const tokens = {};
for (const alg of ["RS256", "PS256", "RS512", "ES256", "ES384", "EdDSA"]) {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const kid = `old-${alg}`;
  jwks.keys.push({ ...(await exportJWK(publicKey)), kid, alg, use: "sig" });
  tokens[alg] = await new SignJWT({})
    .setProtectedHeader({ alg, kid, typ: "JWT" })
    .setSubject(subject).setIssuer(issuer).setIssuedAt().setExpirationTime("2h").setJti(kid)
    .sign(privateKey);
}
console.log(JSON.stringify({ jwks, tokens }));
