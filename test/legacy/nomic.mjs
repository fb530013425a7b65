// A login server as the page "Login" of the Nomic game manager describes it.
import { createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { World, Refused, credentials, serve } from "./server.mjs";

const world = new World();
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicKey = createPublicKey(privateKey);
world.keys = { jwk: publicKey.export({ format: "jwk" }), pem: publicKey.export({ format: "pem", type: "spki" }) };
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

// As in the sample: no kid, and these claims in this order.
function issue(account) {
  const iat = Math.floor(Date.now() / 1000);
  const text =
    encode({ typ: "JWT", alg: "RS256" }) + "." + encode({ sub: world.subject(account), iss: "NomicGameManager.Api", exp: iat + 7200, iat });
  const token = text + "." + sign("sha256", Buffer.from(text), privateKey).toString("base64url");
  return world.issue("jwt", token, account);
}

// owner is the account of a token that is good.
function owner(token) {
  const [head, body, signature] = token.split(".");
  if (!signature || !verify("sha256", Buffer.from(head + "." + body), publicKey, Buffer.from(signature, "base64url"))) return null;
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  return claims.exp > Date.now() / 1000 ? world.accounts.find((a) => world.subject(a) === claims.sub) : null;
}

serve("nomic", world, {
  "POST /api/auth/token": (req) => {
    const [, scheme, value] = /^(\S+) +(\S+)$/.exec(req.headers.authorization ?? "") ?? [];
    let account = null;
    if (/^basic$/i.test(scheme)) account = world.find(...credentials(value));
    if (/^bearer$/i.test(scheme)) account = owner(value);
    if (!account) throw new Refused(403, undefined);
    return { isSuccess: true, token: issue(account) };
  },
});
