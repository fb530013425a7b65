-- Asks Ostiary whether a request may pass, and gives the upstream Ostiary's headers about it.
-- See haproxy.md for the lines of haproxy.cfg that go with it.

-- The client of HAProxy's Lua tries a dead address for seconds. So it asks "listen ostiary-verify",
-- which knows whether Ostiary is there, and keeps connections.
local verify = "http://ostiary/ostiary/verify"
local via = "abns@ostiary-verify"
local timeout = 10000 -- milliseconds

local credential = { "authorization", "authentication", "x-csrf-token" }
local identity = {
  "ostiary-subject", "ostiary-account", "ostiary-username", "ostiary-email", "ostiary-org",
  "ostiary-roles", "ostiary-datasources", "ostiary-dialect", "ostiary-session", "ostiary-assertion",
}

-- HAProxy counts the values of a header from 0.
local function first(headers, name)
  return headers and headers[name] and headers[name][0]
end

local function question(txn)
  local sent = txn.http:req_get_headers()
  local headers = {
    ["host"] = { first(sent, "host") or "" },
    ["x-forwarded-for"] = { txn.f:src() },
    ["x-original-method"] = { txn.f:method() },
    ["x-original-uri"] = { txn.f:pathq() },
  }
  for _, name in ipairs(credential) do
    if sent[name] then -- all values: Ostiary refuses two credentials
      headers[name] = {}
      for i = 0, #sent[name] do headers[name][i + 1] = sent[name][i] end
    end
  end
  local ask = txn:get_var("txn.ostiary_ask")
  return { url = ask and verify .. "?" .. ask or verify, dst = via, headers = headers, timeout = timeout }
end

-- refuse ends the request with Ostiary's answer, or with 503 for whatever is none.
local function refuse(txn, answer)
  local reply = txn:reply()
  local status = answer.status
  if status ~= 401 and status ~= 403 then status = 503 end
  reply:set_status(status)
  for _, name in ipairs({ "www-authenticate", "content-type", "cache-control", "retry-after" }) do
    local value = first(answer.headers, name)
    if value then reply:add_header(name, value) end
  end
  if status == 503 and not first(answer.headers, "retry-after") then reply:add_header("retry-after", "5") end
  reply:set_body(answer.body or "")
  txn:done(reply)
end

core.register_action("ostiary", { "http-req" }, function(txn)
  local answer = core.httpclient():get(question(txn))
  if answer.status ~= 200 then return refuse(txn, answer) end
  for _, name in ipairs(identity) do
    local value = first(answer.headers, name)
    txn.http:req_del_header(name)
    if value then txn.http:req_add_header(name, value) end
    if txn.f:req_fhdr(name) ~= value then return refuse(txn, { status = 503 }) end -- it did not fit
  end
  txn:set_var("txn.ostiary", "pass")
end, 0)
