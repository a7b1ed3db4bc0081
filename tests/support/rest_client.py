"""A REST client that can also send invalid requests."""

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.patience import patient

HOST = "127.0.0.1"
DOMAIN = "mercato.internal"
INFO, BAD_REQUEST, RETRY = (f"type.googleapis.com/google.rpc.{name}" for name in ("ErrorInfo", "BadRequest", "RetryInfo"))

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """The answer to a request."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The reason of an error, which must have the shape of all errors."""
        error = self.json
        assert set(error) == {"code", "message", "details"}, error
        [info] = self.details(INFO)
        assert info["domain"] == DOMAIN
        assert isinstance(error["code"], int)
        assert error["message"]
        return str(info["reason"])

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of an error's ErrorInfo."""
        [info] = self.details(INFO)
        return dict(info["metadata"])

    @property
    def fields(self) -> list[str]:
        """The fields that an error's BadRequest names."""
        [bad_request] = self.details(BAD_REQUEST)
        assert all(violation["description"] for violation in bad_request["field_violations"])
        return [violation["field"] for violation in bad_request["field_violations"]]

    def details(self, kind: str) -> list[dict[str, Any]]:
        """Return the details of an error that have a type."""
        return [detail for detail in self.json["details"] if detail["@type"] == kind]

    def __str__(self) -> str:
        return f"{self.status} {self.body[:500]!r}"


@dataclass(frozen=True)
class Client:
    """Calls one port, on a new connection each time, with a token if it has one."""

    port: int
    token: str = ""
    id: str = ""
    email: str = ""
    trust: Path | None = None
    """Certificate to trust for calls over TLS; None calls in plaintext."""
    source: str = HOST
    """Source address of calls: any of 127.0.0.0/8."""

    def anonymous(self) -> "Client":
        return replace(self, token="", id="", email="")

    def get(self, path: str, **query: Any) -> Reply:
        return self.send("GET", path + search(query))

    def delete(self, path: str, **query: Any) -> Reply:
        return self.send("DELETE", path + search(query))

    def post(self, path: str, value: Any = None, headers: Headers = ()) -> Reply:
        """Send a value as JSON; None sends no body."""
        return self.send_json("POST", path, value, headers)

    def put(self, path: str, value: Any) -> Reply:
        return self.send_json("PUT", path, value)

    def patch(self, path: str, value: Any) -> Reply:
        return self.send_json("PATCH", path, value)

    def send_json(self, method: str, path: str, value: Any = None, headers: Headers = ()) -> Reply:
        if value is None:
            return self.send(method, path, headers=headers)
        return self.send(method, path, json.dumps(value).encode(), [("content-type", "application/json"), *headers])

    def form(self, path: str, fields: Mapping[str, str]) -> Reply:
        """Send an HTML form."""
        return self.send("POST", path, search(fields)[1:].encode(), [("content-type", "application/x-www-form-urlencoded")])

    def send(self, method: str, path: str, body: bytes | None = None, headers: Headers = ()) -> Reply:
        """Send a request; a header may come twice."""
        connection = self._connection()
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in [*self._credentials(), *headers]:
                connection.putheader(name, value)
            if body is not None or method in ("POST", "PUT", "PATCH"):
                connection.putheader("content-length", str(len(body or b"")))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a body that is too large is answered before its end
                connection.endheaders(body)
            with connection.getresponse() as response:
                return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def raw(self, request: bytes) -> Reply:
        """Send bytes as they are."""
        with socket.create_connection((HOST, self.port), timeout=patient()) as connection:
            connection.sendall(request)
            with http.client.HTTPResponse(connection) as response:
                response.begin()
                return Reply(response.status, response.headers, response.read())

    def login(self, email: str, password: str) -> "Client":
        """Return a client with the token of an account."""
        login = self.post("/v1/auth:login", {"email": email, "password": password})
        assert login.status == 200, login
        signed_in = replace(self, token=login.json["access_token"], email=email)
        return replace(signed_in, id=signed_in.get("/me").json["id"])

    def _connection(self) -> http.client.HTTPConnection:
        if self.trust is None:
            return http.client.HTTPConnection(HOST, self.port, timeout=patient(), source_address=(self.source, 0))
        return http.client.HTTPSConnection(HOST, self.port, timeout=patient(), context=ssl.create_default_context(cafile=self.trust))

    def _credentials(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.token}")] if self.token else []


def search(query: Mapping[str, Any]) -> str:
    """Return the query part of a URL with its question mark; a list repeats its parameter for each item."""
    pairs = [(name, item) for name, value in query.items() for item in (value if isinstance(value, list) else [value])]
    return "?" * bool(pairs) + "&".join(f"{name}={quote(_text(value), safe='')}" for name, value in pairs)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
