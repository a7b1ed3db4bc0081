"""Every route of the OpenAPI document gets requests of all shapes through Envoy, and answers as the document says."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import requests
import schemathesis
from google.protobuf import json_format
from hypothesis import strategies as st
from schemathesis.checks import CHECKS as CHECK_FUNCTIONS
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from fuzz.conftest import Fuzz
from fuzz.strategies import PLAUSIBLE, PRINTABLE, WHO, Things, fits
from mercato.rpcs import Binding, rpcs
from mercato_server.edge.openapi import path
from support.mercato_up import PASSWORD, Up, running
from support.rest_client import BAD_REQUEST, INFO, Client
from support.two_workers import findings

PROMOTE = "UPDATE accounts SET role = 'admin' WHERE id = $1"
NUMERALS = {"minor_units": "1999", "min_price": "0", "max_price": "100000", "update_mask": "name", "start": "0", "end": "2000"}
OWN = ("negative_data_rejection", "positive_data_acceptance")
"""Checks that we replace (`judge`): proto3 JSON is more lenient than a schema, and a valid request may come at the wrong time."""
CHECKS: list[Any] = [check for name in CHECK_FUNCTIONS.get_all_names() if name not in OWN for check in CHECK_FUNCTIONS.get_by_names([name])]
UNSTATED = {
    "compare_and_set": "excludes delta",
    "delta": "excludes compare_and_set",
    "idempotency-key": "is added",
    "if-none-match": "is added",
    "if-match": "is no list of tags",
    "new_password": "is common, or the current one",
    "password": "is common",
    "email": "has a domain that cannot be",
    "product.name": "must have a visible character",
    "product.sku": "must not have invisible characters",
    "category.name": "must have a visible character",
    "full_name": "must have a visible character",
    "city": "is required in most countries",
    "city_area": "must have a visible character",
    "company": "must have a visible character",
    "phone": "must be one",
    "postal_code": "must be one of the country",
    "recipient": "is required without a company",
    "region": "must be one of the country",
    "sorting_code": "must have a visible character",
    "street_lines": "must have a visible character",
    "vat_number": "must have a visible character",
    "q": "excludes show_deleted",
    "order_by": "only some with show_deleted",
    "status": "cannot be the first state",
    "statuses": "must be empty with status",
    "number": "has a check character",
    "contact_email": "must be an address",
    "start_time": "is from the year 1 to 9999",
    "end_time": "must be after start_time",
    "max_total": "must not be less than min_total",
    "role": "cannot be unspecified",
    "product.price": "must be there if update_mask names it",
    "product.stock": "must be there if update_mask names it",
    "update_mask": "names a field that must be there",
    "currency_code": "is that of the shop",
    "image_urls": "must have a host",
    "carrier": "must have a visible character",
    "tracking_number": "must have a visible character",
    "tracking_url": "must be http or https, with a host",
    "areas": "are of countries, regions and postal codes that there are, each once",
    "rates": "have their tiers in ascending order, and each zone once",
    "shipping_zone.name": "must have a visible character",
    "shipping_method.name": "must have a visible character",
    "shipping_method.tax_category": "must not have invisible characters",
    "promotion.kind": "cannot be unspecified, nor changed",
    "promotion.name": "must have a visible character",
    "promotion.percent_ppm": "is for one kind",
    "promotion.amount": "is for one kind",
    "promotion.amount.minor_units": "must not be 0",
    "promotion.buy_quantity": "is for one kind",
    "promotion.get_quantity": "is for one kind",
    "promotion.get_product_ids": "is for one kind",
    "promotion.get_category_ids": "is for one kind",
    "promotion.shipping_method_ids": "is for one kind",
    "promotion.delivery_max": "is for one kind",
    "promotion.start_time": "is from 1900 to 2200",
    "promotion.end_time": "is from 1900 to 2200, and after start_time",
    "code": "must have only letters, digits and a few signs",
    "prefix": "must have only letters, digits and a few signs",
    "country_code": "must be that of a country; that of a rate never changes",
    "time_zone": "is in the IANA database",
    "shop.prices_include_tax": "must be there if update_mask names it",
    "tax_rounding": "cannot be unspecified",
    "tax_category_id": "cannot be reserved",
    "display_name": "must have a visible character",
    "tax_rate.name": "must have a visible character",
    "tax_rate.region": "must have a visible character; never changes",
    "tax_category": "never changes",
    "rate_ppm": "never changes",
    "parts": "must sum up to the rate; names have no semicolon",
    "valid_from": "is from 1900 to 2200",
    "valid_until": "is from 1900 to 2200, and after valid_from",
    "tax_treatment": "cannot be unspecified; must be there with tax_number",
    "tax_number": "must fit tax_treatment",
    "method": "cannot be OTHER",
    "amount": "must not be 0",
    "collapse": "excludes show_deleted",
    "facets": "excludes show_deleted",
    "group_id": "excludes show_deleted and q",
    "options": "must be those of the group; exclude show_deleted",
    "group.name": "must have a visible character",
    "group.code": "must have no invisible characters",
    "varies_by": "must differ, and have visible characters",
    "variants": "must fit to the group and to each other",
    "slug": "is no reserved word",
    "parent_id": "excludes roots",
    "roots": "exclude parent_id",
    "description_html": "must have few tags",
    "pictures": "must differ, and exist",
    "alt": "must have no control characters",
    "lines": "are of different products, and absent with amount",
}
"""Fields of which the server requires more than the schema states, and what. No text may contain NUL."""
WORDS = {"true": True, "1": True, "false": False, "0": False}
FLAGS = {
    "collapse",
    "disabled",
    "facets",
    "in_stock",
    "include_total_size",
    "only_deleted",
    "retry",
    "restock",
    "roots",
    "show_archived",
    "show_deleted",
    "show_empty",
    "show_resolved",
    "show_settled",
}
BINDINGS = {f"{binding.verb} {path(binding)}": (rpc, binding) for rpc in rpcs() for binding in rpc.bindings}
DEADLINE = 504
"""Status that a busy machine answers now and then."""
READS = ("GET", "HEAD", "OPTIONS")
OF_THE_WHOLE_SHOP = ("/categories", "/v1/promotions", "/v1/shipping", "/v1/shop", "/v1/tax")
"""Paths of things that `equip` makes."""
THINGS_EACH = 3
"""Number of fitting things that are tried in each place."""
HEADERS = (  # headers that gRPC, Envoy or a worker could misinterpret
    "a$b accept accept-encoding content-encoding fuzz-bin grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-timeout "
    "grpc-trace-bin idempotency-key if-none-match origin range te traceparent user-agent x-client-address x-envoy-original-path "
    "x-forwarded-for x-forwarded-proto x-grpc-web x-http-code x-request-id x-user-agent"
)
VALUES = st.sampled_from(("", "1", "gzip", "identity", "*", "1n", "1S", "192.0.2.7", "/me", "application/grpc")) | PRINTABLE.map(str.strip)
ADDED: st.SearchStrategy[dict[str, str]] = st.just({}) | st.dictionaries(st.sampled_from(HEADERS.split()), VALUES, max_size=2)
AnyCase = schemathesis.Case[Any]


@pytest.fixture
def edges() -> Iterator[list["Edge"]]:
    """Two shops that no other test uses, without and with the cache of catalog reads. Both get each request: drawing takes longer."""
    with ExitStack() as stack, ThreadPoolExecutor() as beside:
        shops = [running(MERCATO_RATE_LIMITS="off", MERCATO_EDGE_CACHE=cache) for cache in ("off", "on")]
        ups = list(beside.map(stack.enter_context, shops))
        yield [Edge(up, stack.enter_context(requests.Session()), {}, {}) for up in ups]


@dataclass
class Edge:
    """The port of a shop, its callers, and things to request by name."""

    up: Up
    session: requests.Session
    people: dict[str, Client]
    things: dict[str, str]
    used: bool = True
    """Whether a request may have used up what `renew` makes."""

    def equip(self) -> None:
        """Make things of the whole shop, which fuzzing seldom uses up: once, since there are many operations."""
        assert self.up.admin.post("/v1/taxCategories?tax_category_id=books", {"display_name": "Books"}).status == 201
        rate = {"country_code": "DE", "region": "BY", "name": "VAT", "rate_ppm": 190_000}
        self.things |= {
            "category_id": self.up.category()["id"],
            "shipping_zone_id": self.up.shipping_zone()["id"],
            "shipping_method_id": self.up.shipping_method()["id"],
            "promotion_id": self.up.promotion()["id"],
            "tax_rate_id": self.up.admin.post("/v1/taxRates", rate).json["id"],
        }

    def renew(self) -> None:
        """Make new accounts, with things to sell and to buy, unless no request has used up the last ones."""
        if not self.used:
            return
        self.used = False
        admin, buyer = self.up.buyer(), self.up.buyer()
        asyncio.run(promote(self.up, admin))
        self.people = {"nobody": self.up.anyone, "buyer": buyer, "admin": admin}
        gone = self.up.product()["id"]
        assert self.up.admin.delete(f"/products/{gone}").status == 200
        ball = self.up.product(stock=1_000)
        order, foreign = self.up.order(buyer), self.up.order(admin)
        paid_order_id, sent_product_id, shipment_id, _ = self.up.shipments(buyer)
        assert buyer.post(f"/cart/add/{ball['id']}").status == 200
        login = self.up.anyone.post("/v1/auth:login", {"email": buyer.email, "password": PASSWORD}).json
        self.things |= {
            "ball product_id": ball["id"],
            "gone product_id": gone,
            "order_id": order["id"],
            "foreign order_id": foreign["id"],
            "payment_id": self._paid(foreign["id"]),
            "paid order_id": paid_order_id,
            "sent product_id": sent_product_id,
            "shipment_id": shipment_id,
            "address_id": self.up.address(buyer)["id"],
            "session_id": buyer.get("/me/sessions").json["sessions"][0]["id"],
            "account_id": buyer.id,
            "user_id": admin.id,
            "email": buyer.email,
            "username": buyer.email,
            "password": PASSWORD,
            "refresh_token": login["refresh_token"],
            "page_token": self.up.anyone.get("/products", page_size=1).json["next_page_token"],
            "etag": ball["etag"],
        }

    def _paid(self, order_id: str) -> str:
        """Record cash on delivery for an order; return the payment's id."""
        made = self.up.admin.post(f"/v1/orders/{order_id}/payments", {"method": "PAYMENT_METHOD_CASH_ON_DELIVERY"})
        assert made.status == 201, made
        return str(made.json["payment"]["id"])

    def send(self, who: str, drawn: tuple[AnyCase, int | None], added: dict[str, str], *, fuzz: Fuzz) -> None:
        """Send a request with added headers, and check the answer; a number puts things of the shop into it."""
        case, number = drawn
        if number is not None:
            fill(case, self.things, number)
        token = self.people[who].token
        headers = added | ({"Authorization": f"Bearer {token}"} if token else {})
        response = case.call(base_url=self.up.base, session=self.session, headers=headers)
        fuzz.count(case.operation.label, str(response.status_code))
        if response.status_code != DEADLINE:
            case.validate_response(response, checks=CHECKS)
            judge(case, response)
        changed = response.status_code < 300 and case.method not in READS and not case.path.startswith(OF_THE_WHOLE_SHOP)
        self.used = self.used or changed or response.status_code == requests.codes.too_many_requests
        if response.status_code == requests.codes.unauthorized and token:
            self.used = True
            self.renew()


def test_every_request_is_answered_as_the_document_says(edges: list[Edge], fuzz: Fuzz) -> None:
    schema = schemathesis.openapi.from_url(f"{edges[0].up.base}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    for edge in edges:
        edge.equip()

    def send(parts: tuple[str, tuple[AnyCase, int | None], dict[str, str]]) -> None:
        for edge in edges:
            edge.send(*parts, fuzz=fuzz)

    for operation in operations:
        for edge in edges:
            edge.renew()
        sound = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        unsound = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        filled = st.tuples(sound, st.integers(0, THINGS_EACH - 1))
        case = filled | st.tuples(sound, st.none()) | st.tuples(unsound, st.none())
        fuzz.draw(operation.label, st.tuples(st.sampled_from(WHO), case, ADDED), send, quick=6, full=150)
    assert fuzz.answers.keys() == {operation.label for operation in operations}
    assert [asyncio.run(found(edge.up)) for edge in edges] == [[], []]


def judge(case: AnyCase, response: schemathesis.Response) -> None:
    """Check that a request that is taken is proto3 JSON of its message, and that no field of a request of the schema is invalid."""
    if case.operation.label not in BINDINGS or case.media_type == "application/x-www-form-urlencoded":
        return
    rpc, binding = BINDINGS[case.operation.label]
    if response.status_code < 300 and binding.body != "form":
        json_format.ParseDict(as_json(case, binding), rpc.request_type())
    if case.meta and case.meta.generation.mode == GenerationMode.POSITIVE and response.status_code == requests.codes.bad_request:
        details = {detail["@type"]: detail for detail in response.json()["details"]}
        violations = details[BAD_REQUEST]["field_violations"] if details[INFO]["reason"] == "INVALID_FIELD" else []
        told = {each["field"].partition("[")[0]: each["description"] for each in violations if "NUL" not in each["description"]}
        assert {name for name in told if not {name, name.rpartition(".")[2]} & UNSTATED.keys()} == set(), told


def as_json(case: AnyCase, binding: Binding) -> dict[str, Any]:
    """Return the JSON of a whole request; an empty parameter is absent, and those of a query are texts."""
    query = {name: WORDS.get(str(value).lower(), value) if name in FLAGS else value for name, value in (case.query or {}).items()}
    body = case.body if isinstance(case.body, dict) else {}
    whole = {name: sent for name, value in query.items() if (sent := as_sent(value)) not in ("", None)}
    whole |= {binding.body: body} if binding.body not in ("", "*") else body
    if isinstance(mask := whole.get("update_mask"), str):
        whole["update_mask"] = re.sub("_([a-z])", lambda found: found[1].upper(), mask)  # ParseDict takes names of JSON only
    return whole


def as_sent(value: Any) -> Any:
    """Return the value of a parameter as the library for requests sends it: of an object only the names."""
    names = list(value) if isinstance(value, dict) else []
    return names[0] if len(names) == 1 else names or value


def fill(case: AnyCase, things: Things, number: int) -> None:
    """Put things of the shop and plausible values into the fields of their names; those of another shop are replaced."""
    for part in (case.path_parameters, case.query, case.body):
        replace(part, things, number)


def replace(value: Any, things: Things, number: int) -> None:
    if isinstance(value, dict):
        for name, old in value.items():
            candidates = [things[thing] for thing in things if fits(name, thing.split(" ")[-1])]
            candidates += [values[0] for known, values in PLAUSIBLE.items() if fits(name, known)]
            candidates += [NUMERALS[name]] if name in NUMERALS else []
            if isinstance(old, str) and candidates:
                value[name] = candidates[number % len(candidates)]
            replace(old, things, number)


async def promote(up: Up, client: Client) -> None:
    conn = await asyncpg.connect(up.database)
    await conn.execute(PROMOTE, client.id)
    await conn.close()


async def found(up: Up) -> list[str]:
    conn = await asyncpg.connect(up.database)
    wrong = await findings(conn)
    await conn.close()
    return wrong
