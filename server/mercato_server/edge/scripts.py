"""Lua scripts of the edge: the parts of HTTP that the transcoder cannot express, because gRPC does not have them."""

from collections.abc import Iterable

from mercato.rpcs import Rpc
from mercato_server.edge.descriptors import VARIABLE
from mercato_server.rpc.headers import CLIENT_ADDRESS, HTTP_STATUS, ORIGINAL_PATH, PROXY_ADDRESS, RPC

CREATED_LUA = """
function envoy_on_response(response)
  local headers = response:headers()
  if headers:get(":status") ~= "200" or headers:get("content-type") ~= "application/json" then return end
  headers:replace(":status", "201")
  local parent = "%s"
  local body = parent ~= "" and response:body()
  local id = body and body:getBytes(0, body:length()):match('^{"id":"([^"]+)"')
  if id then response:headers():replace("location", parent .. id) end
end
"""
"""For routes of RPCs that create something: turns a REST client's 200 into 201, with the Location of what was created.

The JSON of a resource begins with its `id`, which is its first field.
"""

_EMPTY_LUA = """
local function empty(response)
  for chunk in response:bodyChunks() do chunk:setBytes("") end
end
"""
"""Drops the body of a response, and leaves its length as it was (RFC 9110 section 8.6)."""

_STATUS_LUA = f"""
local function set_status(headers)
  local status = headers:get("{HTTP_STATUS}")
  if not status then return end
  headers:remove("{HTTP_STATUS}")
  headers:replace(":status", status)
  if status ~= "304" then return end
  headers:remove("content-encoding")
  headers:remove("content-type")
  return true
end
"""

CONDITIONAL = "conditional"
CONDITIONAL_LUA = f"""
{_EMPTY_LUA}
{_STATUS_LUA}
function envoy_on_response(response)
  local headers = response:headers()
  if not set_status(headers) then return end
  if headers:get("content-length") then return empty(response) end
  -- Compressed: without a length Envoy would send the framing of a body after a 304.
  local body = response:body()
  local length = body:length()
  body:setBytes("")
  response:headers():replace("content-length", tostring(length))
end
"""
"""For conditional requests and redirects: sets the status that a worker asks for and gRPC does not have, 304, 308 or 412.

A 304 has no body.
"""

HEAD = "head"
HEAD_LUA = f"""
{_EMPTY_LUA}
{_STATUS_LUA}
function envoy_on_response(response)
  set_status(response:headers())
  empty(response)
end
"""
"""For HEAD, which workers answer like GET: drops the body."""

CACHED, CACHED_CONDITIONAL = "cached", "cached conditional"
PASSED = (RPC, CLIENT_ADDRESS, PROXY_ADDRESS, ORIGINAL_PATH, "traceparent", "tracestate", "x-request-id")
"""Headers that go on to the cache. An answer that is stored depends on none of them."""
CACHED_LUA = """
local passed = {%s}
function envoy_on_request(request)
  local headers, others = request:headers(), {}
  keep(request, headers)
  for name in pairs(headers) do
    if name:sub(1, 1) ~= ":" and not passed[name] then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do headers:remove(name) end
  headers:replace(":authority", "%s")
end
"""
"""For requests that the cache may answer: they have the same Host, and nothing else that one client could set for another."""
FORGET_LUA = """
local function keep() end
"""
COMPARE_LUA = f"""
local function keep(request, headers)
  local tags = {{}}
  for number = 1, headers:getNumValues("if-none-match") do tags[number] = headers:getAtIndex("if-none-match", number - 1) end
  request:streamInfo():dynamicMetadata():set("{CACHED}", "tags", table.concat(tags, ", "))
end
function envoy_on_response(response)
  local headers = response:headers()
  local etag = headers:get(":status") == "200" and headers:get("etag")
  if not etag then return end
  local tags = response:streamInfo():dynamicMetadata():get("{CACHED}")["tags"]
  local found = tags:match("^%s*%*%s*$")
  for tag in tags:gmatch('"[^"]*"') do found = found or tag == etag end
  if found then headers:replace("{HTTP_STATUS}", "304") end
end
"""
"""For those with `if-none-match`, which the cache itself does not compare: asks for a 304 as a worker does."""

SLASH = "slash"
SLASH_LUA = """
function envoy_on_request(request)
  local headers = request:headers()
  local path, query = headers:get(":path"):match("^([^?]*)/(%?.*)$")
  if not path then path, query = headers:get(":path"):match("^([^?]*)/$"), "" end
  if path then headers:replace(":path", path .. query) end
end
"""
"""Removes a slash at the end of a path. The transcoder ignores one itself, but not after a `:verb`."""


def created(rpc: Rpc) -> str:
    """Return the name of the script of an RPC that creates something."""
    return f"created by {rpc.path}"


def inner_scripts(rpcs: Iterable[Rpc]) -> dict[str, str]:
    """Return the scripts that run next to the transcoder, and read JSON before it is compressed."""
    known = list(rpcs)
    return {SLASH: SLASH_LUA, **{created(rpc): CREATED_LUA % _parent(rpc, known) for rpc in known if rpc.policy.http_status}}


def cache_scripts(name: str) -> dict[str, str]:
    """Return the scripts that run before the cache; `name` is the host in its keys."""
    passed = CACHED_LUA % (", ".join(f'["{header}"] = true' for header in PASSED), name)
    return {CACHED: FORGET_LUA + passed, CACHED_CONDITIONAL: COMPARE_LUA + passed}


def outer_scripts() -> dict[str, str]:
    """Return the scripts that run after the compressor, so that an answer without a body has the headers of the one with it."""
    return {CONDITIONAL: CONDITIONAL_LUA, HEAD: HEAD_LUA}


def _parent(rpc: Rpc, rpcs: Iterable[Rpc]) -> str:
    """Return the path under which the resource that an RPC creates can be read by its id, such as `/orders/`; empty if there is none."""
    readers = (each for each in rpcs if each.reads and each.response_type is rpc.response_type)
    paths = (VARIABLE.split(binding.path) for reader in readers for binding in reader.bindings)
    return next((parts[0] for parts in paths if len(parts) == 2 and not parts[1]), "")
