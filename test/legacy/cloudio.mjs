// A login server as the page "Authentication" of the CloudIO Platform (3.0) describes it.
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { World, Refused, credentials, serve } from "./server.mjs";

const world = new World();
const secret = process.env.SECRET ?? randomBytes(32).toString("base64url");
world.keys = { secret };
const encode = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

// The sample has no times in its claims, and is signed with HS256. LIFETIME in seconds adds exp.
function sign(claims) {
  const text = encode({ typ: "JWT", alg: "HS256" }) + "." + encode(claims);
  return text + "." + createHmac("sha256", secret).update(text).digest("base64url");
}

const denied = () =>
  new Refused(403, { code: 403, status: "ERROR", title: "Access Denied", message: "Access Denied - Invalid username and/or password!" });

serve("cloudio", world, {
  "POST /v1/auth": (req) => {
    const header = req.headers.authorization ?? req.headers.authentication ?? "";
    const [, token] = /^Token +(\S+)$/.exec(header) ?? [];
    if (!token) throw denied();
    const [name, password] = credentials(token);
    const account = world.find(name, password);
    if (!account) throw denied();
    const session = randomUUID();
    const csrf = randomUUID();
    const orgUid = account.org ?? "cloudio";
    const iat = Math.floor(Date.now() / 1000);
    const lifetime = Number(process.env.LIFETIME ?? 0);
    const jwt = sign({ session, csrf, org_uid: orgUid, ...(lifetime && { iat, exp: iat + lifetime }) });
    world.issue("session", session, account, { jwt, csrf });
    return {
      orgUid,
      sessionId: session,
      userName: account.username ?? account.email,
      displayName: account.displayName ?? account.username ?? account.email,
      emailAddress: account.email ?? "",
      csrf,
      jwt,
      status: "OK",
    };
  },
});
