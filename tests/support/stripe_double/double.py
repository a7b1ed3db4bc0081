"""The server: authentication, limits, faults and idempotency keys around the operations of the API."""

import base64
import binascii
import json
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

from support.stripe_double import faults, invariants, pages, saved
from support.stripe_double.account import Account
from support.stripe_double.acts import Acts
from support.stripe_double.clock import Clock
from support.stripe_double.events import API_VERSION, Events
from support.stripe_double.faults import Fault, Script
from support.stripe_double.keys import Keys
from support.stripe_double.limits import Limits
from support.stripe_double.operations import Execution, Operations, route
from support.stripe_double.parameters import Parameters, decode
from support.stripe_double.refusals import Body, Refusal
from support.stripe_double.rendering import Renderer
from support.stripe_double.webhooks import Webhooks
from support.stripe_double.wire import HOST, Request, Response, Server

SECRET_KEY, PUBLISHABLE_KEY = "sk_test_double", "pk_test_double"
REFUSED = {
    401: ("invalid_request_error", None, "Invalid API Key provided."),
    403: ("invalid_request_error", None, "The provided key does not have the required permissions for this endpoint."),
    409: ("invalid_request_error", "lock_timeout", "This object cannot be accessed right now because another request is using it."),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
}
"""Errors that a fault scripts, by their status; any other is an `api_error`: https://docs.stripe.com/api/errors."""


@dataclass(frozen=True)
class Call:
    """A request that reached the double, and how it ended; the status is None if no answer left."""

    operation: str
    key: str | None
    values: Mapping[str, Any]
    status: int | None
    replayed: bool = False


class StripeDouble:
    """Stripe at a loopback address, for one account in test mode; with a file, the account of that file."""

    def __init__(self, port: int = 0, limits: Limits | None = None, *, listener: socket | None = None, file: Path | None = None) -> None:
        self.clock = Clock()
        self.webhooks = Webhooks(self.clock.now)
        self.events = Events(self.clock.now, self.webhooks.add)
        self.account = Account(self.clock.now, lambda kind, thing: self.events.add(kind, renderer.plain(thing)))
        renderer = Renderer(self.account, lambda: self.url)
        self.acts = Acts(self.account)
        self.faults = Script()
        self.limits = limits or Limits()
        self.calls: list[Call] = []
        """The requests that have ended."""
        self.running = Counter[str]()
        """How many requests of each operation run now."""
        self._operations = Operations(self.account, self.events, renderer)
        self._keys = Keys(self.clock.now)
        self._server = Server(self._answer, port, listener)
        self._file, self._saved = file, ""
        if file and file.exists():
            saved.read(file, self.account, self._keys)

    @property
    def url(self) -> str:
        """Return the address, without a path."""
        return f"http://{HOST}:{self._server.port}"

    async def start(self) -> None:
        """Listen; after `go_down`, again at the same port."""
        await self._server.start()

    async def go_down(self) -> None:
        """Close all connections, and refuse new ones; webhooks go on."""
        await self._server.stop()

    async def stop(self) -> None:
        """Close all connections, and end all deliveries."""
        await self.go_down()
        await self.webhooks.stop()

    def save(self) -> None:
        """Write the file, if there is one and anything has changed."""
        if self._file and (text := saved.encode(self.account, self._keys)) != self._saved:
            saved.write(self._file, text)
            self._saved = text

    def check(self) -> None:
        """Fail if the money of the account breaks a rule."""
        assert invariants.broken(self.account) == []

    async def _answer(self, request: Request) -> Response | None:
        response = await self._respond(request)
        if request.method != "GET":
            self.save()  # before the answer: the shop must never know of more than the file
        return response

    async def _respond(self, request: Request) -> Response | None:
        if request.path.startswith(pages.PATH):
            return pages.answer(request, self.account)
        id_ = f"req_{secrets.token_hex(7)}"
        try:
            operation, thing = route(request.method, request.path)
        except Refusal as refusal:
            return self._error(refusal, id_)
        self.running[operation] += 1
        try:
            return await self._call(request, operation, thing, id_)
        finally:
            self.running[operation] -= 1

    async def _call(self, request: Request, operation: str, thing: str, id_: str) -> Response | None:
        fault = self.faults.take(operation)
        key, values = request.fields.get("idempotency-key"), dict[str, Any]()
        response, replayed = None, False
        if fault.lost != "request":
            try:
                values = decode(request.query if request.method == "GET" else request.body.decode(errors="replace"))
                response, replayed = await self._execute(request, operation, thing, values, fault, id_)
            except Refusal as refusal:
                response = self._error(refusal, id_)
        if fault.lost == "answer":
            response = None
        self.calls.append(Call(operation, key, values, response.status if response else None, replayed))
        return response

    async def _execute(
        self, request: Request, operation: str, thing: str, values: dict[str, Any], fault: Fault, id_: str
    ) -> tuple[Response, bool]:
        """Return the response to a request, and whether it is that of an earlier one."""
        if fault.status:
            return self._refused(fault, id_), False
        is_buyer = self._is_buyer(request)
        self._check_version(request)
        self.limits.check(operation, thing if request.method == "POST" and thing.startswith("pi_") else None, self.clock.exact)
        key = None
        if request.method == "POST" and not is_buyer:
            key = request.fields.get("idempotency-key", "")
            if stored := self._keys.begin(key, f"{request.method} {request.path}", values):
                return Response(stored.status, stored.body, {**stored.fields, "idempotent-replayed": "true"}), True
        try:
            prepare = self._operations.prepare_for_buyer if is_buyer else self._operations.prepare
            execute = prepare(operation, Parameters(values), thing)
        except Refusal:
            if key:
                self._keys.forget(key)
            raise
        await faults.pause(fault.before)
        response = self._run(execute, fault, id_, key)
        if key:
            self._keys.store(key, response)
        await faults.pause(fault.after)
        return response, False

    def _run(self, execute: Execution, fault: Fault, id_: str, key: str | None) -> Response:
        """Execute; the result is what a key stores."""
        self.events.request = {"id": id_, "idempotency_key": key}
        try:
            body = execute() if fault.broken != "without effect" else {}
        except Refusal as refusal:
            return self._error(refusal, id_)
        finally:
            self.events.request = {"id": None, "idempotency_key": None}
        if fault.broken:
            error = Refusal("An unknown error occurred", status=500, kind="api_error")
            return self._error(error, id_, {"stripe-should-retry": "false"})
        return self._response(200, body, id_)

    def _is_buyer(self, request: Request) -> bool:
        """Return whether the request has the publishable key; refuse any key but the two: https://docs.stripe.com/keys."""
        scheme, _, token = request.fields.get("authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                token = base64.b64decode(token, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                token = ""
        if token not in {SECRET_KEY, PUBLISHABLE_KEY}:
            raise Refusal("Invalid API Key provided.", status=401)
        return token == PUBLISHABLE_KEY

    def _check_version(self, request: Request) -> None:
        """Refuse another version of the API: the double speaks the one that the SDK pins. Without a version it is the account's own."""
        version = request.fields.get("stripe-version", API_VERSION)
        if version != API_VERSION:
            raise Refusal(f"Invalid Stripe API version: {version}.")

    def _refused(self, fault: Fault, id_: str) -> Response:
        status = fault.status or 500
        kind, code, message = REFUSED.get(status, ("api_error", None, "An unknown error occurred"))
        fields = {} if fault.should_retry is None else {"stripe-should-retry": fault.should_retry}
        return self._error(Refusal(message, status=status, kind=kind, code=code), id_, fields)

    def _error(self, refusal: Refusal, id_: str, fields: Mapping[str, str] | None = None) -> Response:
        return self._response(refusal.status, self._operations.error(refusal), id_, fields)

    def _response(self, status: int, body: Body, id_: str, fields: Mapping[str, str] | None = None) -> Response:
        own = {"request-id": id_, "stripe-version": API_VERSION}
        return Response(status, json.dumps(body).encode(), {**own, **(fields or {})})
