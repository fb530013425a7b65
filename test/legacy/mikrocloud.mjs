// A login server as the pages "Authentication API" and "Passport API" of MikroCloud describe
// it. An account with "totp", a secret in base32, has a second factor (RFC 6238); with
// "enrolling": true it has yet to scan its code.
import { createHmac, randomBytes } from "node:crypto";
import { World, Refused, serve } from "./server.mjs";

const world = new World();
const tickets = new Map();
const ticketLife = 5 * 60_000;

function base32(text) {
  let bits = "";
  for (const c of text.replace(/=+$/, "").toUpperCase()) bits += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0");
  return Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
}

// The code of RFC 6238 for a step of 30 s: six digits, HMAC-SHA-1.
function code(secret, step) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", base32(secret)).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

function isRight(account, totp) {
  const now = Math.floor(Date.now() / 30_000);
  return [now - 1, now, now + 1].some((step) => code(account.totp, step) === totp);
}

const wrongLogin = () =>
  new Refused(401, { mfa_enabled: false, mfa_verified: false, mfa_svg: null, message: "Invalid email or password", token: null });
const wrongToken = () => new Refused(401, { message: "Invalid token or code", auth_token: null });

function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    throw new Refused(400, { message: "Bad request" });
  }
}

serve("mikrocloud", world, {
  "POST /user/login": (req, body) => {
    const { email, password } = parse(body);
    const account = world.find(email, password);
    if (!account) throw wrongLogin();
    const token = Buffer.from(JSON.stringify({ id: randomBytes(24).toString("base64url") })).toString("base64");
    tickets.set(token, { account, until: Date.now() + ticketLife });
    const enabled = Boolean(account.totp);
    return {
      mfa_enabled: enabled,
      mfa_verified: enabled && !account.enrolling,
      mfa_svg: enabled && account.enrolling ? '<svg xmlns="http://www.w3.org/2000/svg"></svg>' : null,
      message: "Login was successful",
      token,
    };
  },
  "POST /user/passport": (req, body) => {
    const { totp, token } = parse(body);
    const ticket = tickets.get(token);
    if (!ticket || ticket.until < Date.now()) throw wrongToken();
    if (ticket.account.totp && !isRight(ticket.account, totp)) throw wrongToken();
    tickets.delete(token);
    ticket.account.enrolling = false;
    const authToken = randomBytes(48).toString("base64");
    return { message: "Login Successful", auth_token: world.issue("bearer", authToken, ticket.account) };
  },
});
