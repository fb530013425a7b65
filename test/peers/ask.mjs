// Asks about tokens and revokes them as a resource server would, by a library for clients
// of OAuth 2.0. Standard input: {url, id, secret, tokens: [{name, token, revoke}, …]}, where
// revoke is a token of the same session. It prints one JSON line for each: {name, before,
// after}, what the token means before and after the revocation; and last {challenge}, what
// a wrong secret is told.
import * as oauth from "oauth4webapi";

let input = "";
for await (const chunk of process.stdin) input += chunk;
const { url, id, secret, tokens } = JSON.parse(input);

const server = {
  issuer: url,
  introspection_endpoint: `${url}/ostiary/introspect`,
  revocation_endpoint: `${url}/ostiary/revoke`,
};
const client = { client_id: id };
const options = { [oauth.allowInsecureRequests]: true }; // on loopback

async function introspect(token, password = secret) {
  const response = await oauth.introspectionRequest(server, client, oauth.ClientSecretBasic(password), token, options);
  return oauth.processIntrospectionResponse(server, client, response);
}

for (const t of tokens) {
  const before = await introspect(t.token);
  const response = await oauth.revocationRequest(server, client, oauth.ClientSecretBasic(secret), t.revoke, options);
  await oauth.processRevocationResponse(response);
  console.log(JSON.stringify({ name: t.name, before, after: await introspect(t.token) }));
}

const challenge = await introspect(tokens[0].token, secret.replace(/.$/, (c) => (c === "A" ? "E" : "A"))).then(
  () => null,
  (err) => err.cause[0], // a WWWAuthenticateChallengeError has what it parsed
);
console.log(JSON.stringify({ challenge }));
