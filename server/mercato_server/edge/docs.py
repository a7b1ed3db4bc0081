"""Fixed responses that Envoy sends by itself: the page at /docs (Swagger UI), /openapi.json, and the probe of its own life."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from swagger_ui_bundle import swagger_ui_path

from mercato_server.edge.filters import overwriting

ONE_DAY = "public, max-age=86400"
REVALIDATE = "no-cache"
GET_OR_HEAD = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}

PAGE_HEADERS: Mapping[str, str] = {
    # Swagger UI sets styles on elements and carries its icons as data URLs; it needs no inline script and no eval.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A fixed response to GET and HEAD, with and without a trailing slash. The location is relative: proxies in front keep theirs."""

    path: str
    content_type: str
    body: bytes
    cache_control: str
    status: int = 200
    location: str = ""

    @property
    def regex(self) -> str:
        """The regex of its path, without a query."""
        return re.escape(self.path.rstrip("/")) + "/?"

    def route(self) -> dict[str, Any]:
        """Return the route of the page; a route match ignores the query."""
        values = {"content-type": self.content_type, "cache-control": self.cache_control, **PAGE_HEADERS}
        if self.location:
            values["location"] = self.location
        return {
            "name": self.path,
            "match": {"safe_regex": {"regex": self.regex}, "headers": [GET_OR_HEAD]},
            "direct_response": {"status": self.status, "body": {"inline_bytes": base64.b64encode(self.body).decode()}},
            "response_headers_to_add": overwriting(values),
        }


def pages() -> list[Page]:
    """Read our pages from this package, and Swagger UI's from its package."""
    ours, swagger_ui = resources.files("mercato_server.edge"), swagger_ui_path
    return [
        Page("/", "text/plain", b"see /docs\n", REVALIDATE, status=302, location="/docs"),
        Page("/livez", "application/json", b'{"status":"SERVING"}', "no-store"),
        Page("/openapi.json", "application/json", (ours / "openapi.json").read_bytes(), REVALIDATE),
        Page("/docs", "text/html; charset=utf-8", (ours / "page/index.html").read_bytes(), REVALIDATE),
        Page("/docs/init.js", "text/javascript; charset=utf-8", (ours / "page/init.js").read_bytes(), REVALIDATE),
        Page("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8", (swagger_ui / "swagger-ui-bundle.js").read_bytes(), ONE_DAY),
        Page("/docs/swagger-ui.css", "text/css; charset=utf-8", (swagger_ui / "swagger-ui.css").read_bytes(), ONE_DAY),
        Page("/docs/favicon-32x32.png", "image/png", (swagger_ui / "favicon-32x32.png").read_bytes(), ONE_DAY),
    ]
