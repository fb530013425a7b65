// A login server as the pages "Authenticate" and "Refresh Token" of Senmo describe it. Its
// tokens look as those of the sample, which begin with a kid.
import { createPublicKey, generateKeyPairSync, randomBytes, randomUUID, sign } from "node:crypto";
import { World, Refused, serve } from "./server.mjs";

const world = new World();
const kid = randomBytes(32).toString("base64");
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicKey = createPublicKey(privateKey);
const issuer = process.env.ISSUER ?? "https://senmo.example/pool";
const client = process.env.CLIENT ?? "senmo-web";
world.keys = { jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" }, pem: publicKey.export({ format: "pem", type: "spki" }), issuer, client };

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function jwt(claims) {
  const text = encode({ kid, alg: "RS256" }) + "." + encode(claims);
  return text + "." + sign("sha256", Buffer.from(text), privateKey).toString("base64url");
}

const refreshTokens = new Map();

function tokens(account) {
  const iat = Math.floor(Date.now() / 1000);
  const common = { sub: world.subject(account), iss: issuer, iat, exp: iat + 3600, auth_time: iat, jti: randomUUID() };
  const username = account.username ?? account.email;
  const idToken = jwt({ ...common, token_use: "id", aud: client, email: account.email, email_verified: true, "cognito:username": username, name: account.displayName });
  const accessToken = jwt({ ...common, token_use: "access", client_id: client, scope: "openid", username });
  const refreshToken = encode({ kid, alg: "dir" }) + "." + randomBytes(48).toString("base64url");
  refreshTokens.set(refreshToken, account);
  world.issue("refresh", refreshToken, account, { idToken, accessToken });
  return { statusCode: 200, statusMessage: "OK", tokens: { idToken, accessToken, refreshToken } };
}

const refuse = (statusMessage, error) => new Refused(400, { statusCode: 400, statusMessage, error });

function parse(body, message) {
  try {
    return JSON.parse(body || "{}");
  } catch {
    throw refuse(message, "The body is not JSON.");
  }
}

serve("senmo", world, {
  "POST /v1/auth": (req, body) => {
    const { username, password } = parse(body, "Login failed");
    const account = world.find(username, password);
    if (!account) throw refuse("Login failed", "Incorrect username or password.");
    return tokens(account);
  },
  // A refresh token is spent by its use.
  "POST /v1/auth/refreshtoken": (req, body) => {
    const { refreshtoken } = parse(body, "Failed to refresh token");
    if (!refreshtoken) throw refuse("Missing refresh token");
    const account = refreshTokens.get(refreshtoken);
    if (!account) throw refuse("Failed to refresh token", "Invalid Refresh Token");
    refreshTokens.delete(refreshtoken);
    return tokens(account);
  },
});
