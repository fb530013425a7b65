// Verifies JWTs as a server behind a proxy would, with the published keys and jose's own
// cache of them. Standard input is one JSON object a line: {jwks, issuer, audience, typ,
// token}, jwks being a URL. It answers each line with one: {claims, kid, fetched}, or
// {refused, fetched}: the code of jose's error and the claim
// that it is about. fetched counts the requests for keys. {later: seconds} moves the
// clock of the cache on, and {forget: true} empties it.
import { createInterface } from "node:readline";
import { createRemoteJWKSet, customFetch, jwtVerify } from "jose";

let fetched = 0;
const counting = (...args) => (fetched++, fetch(...args));

const now = Date.now;
const sets = new Map();
for await (const line of createInterface({ input: process.stdin })) {
  const { jwks, later, forget, token, ...options } = JSON.parse(line);
  if (later) {
    const before = Date.now;
    Date.now = () => before() + later * 1000; // jwtVerify takes its time from new Date()
  }
  if (forget) {
    Date.now = now;
    sets.clear();
  }
  if (!token) {
    console.log("{}");
    continue;
  }
  if (!sets.has(jwks)) sets.set(jwks, createRemoteJWKSet(new URL(jwks), { [customFetch]: counting }));
  const answer = await jwtVerify(token, sets.get(jwks), { algorithms: ["ES256"], requiredClaims: ["sub", "exp", "jti"], ...options }).then(
    ({ payload, protectedHeader }) => ({ claims: payload, kid: protectedHeader.kid }),
    (err) => ({ refused: [err.code, err.claim].filter(Boolean).join(" ") }),
  );
  console.log(JSON.stringify({ ...answer, fetched }));
}
