// What the four old servers have in common: accounts, faults that a test switches on, and
// counts of what they were asked.
//
//   ACCOUNTS=[{"username","email","password","displayName","org","subject","totp"}]   all but password optional
//   PORT=8081            default: a free one; it is printed as {"url","port","dialect"}, one line of JSON
//   TLS_CERT, TLS_KEY    files: then it speaks HTTPS
//   TIED=1               it ends with its standard input
//
// GET /_control says {"requests": {path: count}, "asked": [names], "headers": of the last, "issued": [tokens], "keys"}.
// POST /_control sets {"accounts", "fault", "delay", "only"}: "only" is the path that the fault is for; any without it.
//
//   fault      every request is answered by
//   reset      a reset of the connection         hang       nothing, ever
//   cut        half of an answer                 drip       a byte in 100 ms
//   garbage    200 and no JSON                   html       200 and a page
//   empty      200 {}                            types      200 with numbers where texts belong
//   two        200 and two JSON objects          huge       200 and 10 MB of JSON
//   redirect   307 to another path here          other      the account after the one that signed in
//   forbidden  403 and a page                    throttle   429, Retry-After: 7
//   error      500                               down       503, Retry-After: 9
// "delay" is in milliseconds, before any answer.
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { readFileSync } from "node:fs";
import { timingSafeEqual, createHash } from "node:crypto";

const digest = (text) => createHash("sha256").update(text).digest();

export class Refused {
  constructor(status, body) {
    this.status = status;
    this.body = body;
  }
}

export class World {
  accounts = JSON.parse(process.env.ACCOUNTS ?? "[]");
  fault = "";
  delay = 0;
  only = "";
  requests = {};
  asked = [];
  headers = {};
  issued = [];
  keys = {};

  // find gives the account of a name, if the password is its own.
  find(name, password) {
    this.asked.push(name);
    const key = String(name).toLowerCase();
    const index = this.accounts.findIndex((a) => [a.username, a.email].some((n) => n && n.toLowerCase() === key));
    const found = this.accounts[index];
    if (!timingSafeEqual(digest(found?.password ?? ""), digest(String(password))) || !found) return null;
    if (this.fault === "other") return this.accounts[(index + 1) % this.accounts.length];
    return found;
  }

  subject(account) {
    return account.subject ?? String(this.accounts.indexOf(account) + 1);
  }

  issue(kind, token, account, more) {
    this.issued.push({ kind, token, username: account.username, email: account.email, ...more });
    return token;
  }
}

// credentials reads "user:password" in base64, in UTF-8 or as a browser's btoa has it.
export function credentials(base64) {
  const raw = Buffer.from(base64, "base64");
  let text = raw.toString("latin1");
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(raw);
  } catch {}
  const colon = text.indexOf(":");
  return colon < 0 ? [null, null] : [text.slice(0, colon), text.slice(colon + 1)];
}

function send(res, status, body, headers = {}) {
  const text = body === undefined ? "" : JSON.stringify(body);
  res.writeHead(status, { ...(text && { "content-type": "application/json" }), "content-length": Buffer.byteLength(text), ...headers });
  res.end(text);
}

const page = "<!doctype html><title>Sorry</title><h1>We will be back</h1>";

// What a fault answers in place of the server; false: it does not.
const faults = {
  reset: (req) => req.socket.resetAndDestroy(),
  hang: () => {},
  cut: (req, res) => {
    res.writeHead(200, { "content-type": "application/json", "content-length": 400 });
    res.write('{"status":"OK","userName":"st', () => req.socket.destroy());
  },
  drip: (req, res) => {
    res.writeHead(200, { "content-type": "application/json" });
    const timer = setInterval(() => res.write(" "), 100);
    res.on("close", () => clearInterval(timer));
  },
  garbage: (req, res) => res.writeHead(200, { "content-type": "application/json" }).end("\u0000\u0001OK\u0002"),
  html: (req, res) => res.writeHead(200, { "content-type": "text/html" }).end(page),
  forbidden: (req, res) => res.writeHead(403, { "content-type": "text/html" }).end(page),
  empty: (req, res) => send(res, 200, {}),
  huge: (req, res) => send(res, 200, { status: "OK", filler: "x".repeat(10 << 20) }),
  redirect: (req, res) => send(res, 307, undefined, { location: "/_followed" }),
  throttle: (req, res) => send(res, 429, { message: "Too many requests" }, { "retry-after": "7" }),
  down: (req, res) => send(res, 503, { message: "Down for maintenance" }, { "retry-after": "9" }),
  error: (req, res) =>
    send(res, 500, { timestamp: new Date().toISOString().replace("Z", "+00:00"), status: 500, error: "Internal Server Error", path: req.url }),
};

// Faults that change what the server would have answered.
const numbers = (v) => (typeof v === "string" ? v.length : v && typeof v === "object" ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, numbers(x)])) : v);
const twists = {
  types: (body) => JSON.stringify(numbers(body)),
  two: (body) => JSON.stringify(body) + JSON.stringify(body),
};

async function read(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

// serve answers routes, {"POST /path": async (req, body) => answer}, until the process ends.
export function serve(dialect, world, routes) {
  const handle = async (req, res) => {
    const body = await read(req);
    const path = req.url.split("?")[0];
    if (path === "/_control") {
      if (req.method === "POST") Object.assign(world, { only: "" }, JSON.parse(body));
      const { requests, asked, headers, issued, keys, accounts } = world;
      return send(res, 200, { dialect, requests, asked, headers, issued, keys, accounts });
    }
    world.requests[path] = (world.requests[path] ?? 0) + 1;
    world.headers = req.headers;
    const fault = world.only && world.only !== path ? "" : world.fault;
    if (world.delay) await new Promise((done) => setTimeout(done, world.delay));
    if (faults[fault]) return faults[fault](req, res);
    const route = routes[req.method + " " + path];
    if (!route) return send(res, 404, { message: "Not Found" });
    try {
      const answer = await route(req, body);
      if (!twists[fault]) return send(res, 200, answer);
      res.writeHead(200, { "content-type": "application/json" }).end(twists[fault](answer));
    } catch (err) {
      if (err instanceof Refused) return send(res, err.status, err.body);
      console.error(err);
      faults.error(req, res);
    }
  };
  const { TLS_CERT, TLS_KEY, PORT, TIED } = process.env;
  const server = TLS_CERT
    ? createSecureServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) }, handle)
    : createServer(handle);
  server.listen(Number(PORT ?? 0), "127.0.0.1", () => {
    const { port } = server.address();
    console.log(JSON.stringify({ dialect, port, url: `${TLS_CERT ? "https" : "http"}://127.0.0.1:${port}` }));
  });
  if (TIED) process.stdin.resume().on("end", () => process.exit(0));
}
