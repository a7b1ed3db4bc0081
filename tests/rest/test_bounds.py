"""Every bound that the OpenAPI document states is the one that requests are checked for."""

import copy
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from rest.routes import ROUTES, VARIABLE, Route, Scene
from rest.test_openapi import documented_path
from support.mercato_up import Up, draft_address
from support.rest_client import Reply, search

Schema = dict[str, Any]

DIGITS = ("0", "-1", str(10**12), str(10**12 + 1), "9" * 20)
AN_ID = uuid4().hex
TEXTS = ("USD", "usd", AN_ID, "two\nlines", "name")
ALSO_NAMED = {"username": "email"}
"""Fields that an error names otherwise."""
EXCLUDES = {
    "compare_and_set": "delta",
    "delta": "compare_and_set",
    "username": "email",
    "email": "username",
    "amount": "lines",
    "lines": "amount",
}
NEEDS: dict[str, Any] = {
    "amount": {"minor_units": "1"},
    "areas": [{"country_code": "FR"}],
    "billing_address": draft_address()["postal_address"],
    "compare_and_set": {"expected_stock": 1, "stock": 1},
    "expected_total": {"minor_units": "1"},
    "group": {"name": "Shirt", "varies_by": ["Size"]},
    "options": [{"name": "Size", "value": "M"}],
    "variants": [{"name": "Shirt", "price": {"minor_units": "1"}, "options": [{"name": "Size", "value": "M"}]}],
    "free_from": {"minor_units": "1"},
    "lines": [{"product_id": str(uuid4()), "quantity": 1}],
    "min_subtotal": {"minor_units": "1"},
    "pictures": [{"picture_id": "0" * 64}],
    "parts": [{"name": "State", "ppm": 72_500}],
    "delivery_max": {"minor_units": "1"},
    "price": {"minor_units": "1"},
    "postal_address": {},
    "rates": [{"shipping_zone_id": str(uuid4()), "basis": "SHIPPING_RATE_BASIS_WEIGHT", "tiers": [{"price": {"minor_units": "1"}}]}],
    "shipping_address": draft_address()["postal_address"],
    "tiers": [{"price": {"minor_units": "1"}}],
}
ELEMENTS: dict[str, Callable[[int], Any]] = {
    "ProductInput": lambda number: {**NEEDS["variants"][0], "options": [{"name": "Size", "value": f"{number} inches"}]},
    "ProductOptionInput": lambda number: {"name": f"Size {number}", "value": "M"},
    "OrderUnitsInput": lambda _: {"product_id": str(uuid4()), "quantity": 1},
    "OrderStatus": lambda number: ("ORDER_STATUS_PLACED", "ORDER_STATUS_PAID")[number % 2],
    "RefundLineInput": lambda _: {**NEEDS["lines"][0], "product_id": str(uuid4())},
    "SetProductPicturesRequest.Shown": lambda number: {"picture_id": f"{number:064x}"},
    "ShippingAreaInput": lambda number: {"country_code": "US", "postal_prefix": f"{number:03}"},
    "ShippingRateInput": lambda _: {**NEEDS["rates"][0], "shipping_zone_id": str(uuid4())},
    "ShippingTierInput": lambda number: {"start": str(number), "price": {"minor_units": "1"}},
}
"""Makers of elements that are objects or names, by their schemas; each element is given its number."""
BUY_X_GET_Y: Schema = {"name": "Sale", "kind": "PROMOTION_KIND_BUY_X_GET_Y", "buy_quantity": 1, "get_quantity": 1, "needs_code": True}
FREE_DELIVERY: Schema = {"name": "Sale", "kind": "PROMOTION_KIND_FREE_DELIVERY", "needs_code": True}
OF_KIND: dict[tuple[str, str], Schema] = {
    **{("/v1/promotions", field): BUY_X_GET_Y for field in ("buy_quantity", "get_quantity", "get_product_ids", "get_category_ids")},
    **{("/v1/promotions", field): FREE_DELIVERY for field in ("shipping_method_ids", "delivery_max")},
}
"""Bodies for fields that only some kinds of a thing have. The promotions need a code, so that no cart of another test gets them."""
CREATED = (
    *("/products", "/categories", "/v1/me/addresses", "/v1/shippingZones", "/v1/shippingMethods", "/v1/promotions"),
    *("/v1/taxCategories", "/v1/taxRates", "/v1/productGroups"),
)
"""Paths of things that are created; their etags have no effect then."""
OF_GROUP = (
    *("group.varies_by", "variants.options", "variants.options.name", "variants.options.value"),
    *("variants.group_id", "variants.category_id", "variants.tax_category", "variants.sku", "variants.slug"),
)
"""Fields of an upsert whose values must fit to each other or to the shop, and one that it does not read."""
IGNORED = {
    *(("POST", path, "etag") for path in CREATED),
    *(("PATCH", "/v1/promotions/{promotion.id}", field) for _, field in OF_KIND),
    *((verb, path, "amount") for verb, path in (("POST", "/v1/promotions"), ("PATCH", "/v1/promotions/{promotion.id}"))),
    ("POST", "/v1/orders/{order_id}/refunds", "amount"),
    ("GET", "/v1/orders/{order_id}:linked", "order_id"),
    *((verb, f"/products{path}", "options") for verb, path in (("POST", ""), ("PUT", "/{product.id}"), ("PATCH", "/{product.id}"))),
    *(("POST", "/v1/productGroups:upsert", field) for field in OF_GROUP),
    *(("PATCH", "/v1/taxRates/{tax_rate.id}", field) for field in ("country_code", "region", "tax_category", "rate_ppm")),
    *((verb, path, "parts.ppm") for verb, path in (("POST", "/v1/taxRates"), ("PATCH", "/v1/taxRates/{tax_rate.id}"))),
}
"""Fields without effect: those that the kind of the example lacks, and those that never change.

Also options, which must be those of a group, an amount that must not be 0, the shares of a rate, whose sum is the rate, and the order of
a link: any wrong link is that of an absent order.
"""
PARTS = [*NEEDS["parts"], *({"name": str(number), "ppm": 0} for number in range(10))]
"""Parts of the rate of the example requests."""


@dataclass(frozen=True)
class Place:
    """A field of a request: a variable of the path, a parameter of the query, or a path into the body."""

    part: str
    keys: tuple[str | int, ...]
    schema: Schema

    @property
    def name(self) -> str:
        return str(self.keys[-1])

    @property
    def first(self) -> str:
        """The field of the body that has the place."""
        return str(self.keys[0])

    @property
    def own(self) -> str:
        """The names of the fields that lead to the place, with dots."""
        return ".".join(key for key in self.keys if isinstance(key, str))

    def values(self) -> Iterator[tuple[Any, bool]]:
        """Yield values at the bounds and just beyond them, and whether the document allows them."""
        schema, elements = self.schema, self.schema.get("items", {})
        for bound, step in (("minLength", -1), ("maxLength", 1)):
            if bound in schema:
                yield text(schema, schema[bound]), True
                yield text(schema, schema[bound] + step), False
            if bound in elements:
                yield [text(elements, elements[bound])], True
                yield [text(elements, elements[bound] + step)], False
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                yield schema[bound], True
                yield schema[bound] + step, False
        if "maxItems" in schema:
            yield items(schema, schema["maxItems"]), True
            yield items(schema, schema["maxItems"] + 1), False
        if schema.get("format") == "uuid":
            yield uuid4().hex, False
        yield from self._choices()

    def _choices(self) -> Iterator[tuple[Any, bool]]:
        """Yield values that the document allows by name or by a pattern, and others."""
        if "enum" in self.schema:
            yield from ((value, True) for value in self.schema["enum"])
            yield "price up", False
        if "pattern" in self.schema:
            for value in DIGITS if self.schema.get("format") == "int64" else TEXTS:
                is_id = self.name == "slug" and value == AN_ID  # the pattern of slugs does not say that an id is none
                yield value, bool(re.search(self.schema["pattern"], value)) and not is_id


def text(schema: Schema, length: int) -> str:
    """Return a text of a length that is valid otherwise; it never repeats itself, since such passwords are refused."""
    filler = "".join(random.Random(length).choices(string.ascii_letters, k=length))  # noqa: S311 - no secret
    match schema.get("format"):
        case "email":
            local, domain = filler[:64], ".".join(filler[start : start + 60].lower() for start in range(65, length, 61))
            return f"{local}@{domain}"
        case "uri" | "uri-reference":
            return ("https://example.com/" + filler)[:length]
        case "phone":
            return "+4930901820".ljust(length, "-")
        case _:
            return filler.lower() if "a-z" in schema.get("pattern", "") else filler


def items(schema: Schema, number: int) -> list[Any]:
    """Return different elements of a list."""
    if make := ELEMENTS.get(schema["items"].get("$ref", "").rpartition("/")[2]):
        return [make(each) for each in range(number)]
    if "$ref" in schema["items"]:
        return PARTS[:number]
    if schema["items"].get("pattern") == ":":
        return [f"Size:{each}" for each in range(number)]
    return ["https://example.com/1" if schema["items"].get("format") == "uri-reference" else str(uuid4()) for _ in range(number)]


def places(document: dict[str, Any], route: Route) -> Iterator[Place]:
    """Yield the fields of a route's requests."""
    operation = document["paths"][documented_path(route)][route.verb.lower()]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] != "header":
            yield Place(parameter["in"], (parameter["name"],), parameter["schema"])
    body = operation.get("requestBody", {"content": {}})["content"].get("application/json")
    if body:
        yield from of_schema(document, body["schema"])


def of_schema(document: dict[str, Any], schema: Schema, keys: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Yield the fields of an object, and of each object in it; of a list, those of the first element."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, field in schema.get("properties", {}).items():
        if not field.get("readOnly"):
            yield Place("body", (*keys, name), field)
            yield from of_schema(document, field, (*keys, name))
            yield from of_schema(document, field.get("items", {}), (*keys, name, 0))


def send(scene: Scene, route: Route, place: Place, value: Any) -> Reply:
    """Send the example request of a route with another value in a place."""
    route.prepare(scene)
    path, query, body = route.parts(scene)
    match place.part:
        case "path":
            path, _, _ = route.parts(scene, {name: quote(str(value)) for name in names(place, route)})
        case "query":
            query = search({place.name: value})
        case _:
            body = OF_KIND.get((route.template, place.first)) or body or {}
            body = {name: field for name, field in body.items() if name != EXCLUDES.get(place.first)}
            put(body, place.keys, value)
            if route.verb == "PATCH" and "update_mask" not in query and route.binding.body != "*" and place.name != "etag":
                query = search({"update_mask": place.first})  # else an empty text is absent
    return route.client(scene).send_json(route.verb, path + query, body)


def put(body: Any, keys: tuple[str | int, ...], value: Any) -> None:
    """Write a value into a body; the objects above it get the other fields that they need."""
    for key in keys[:-1]:
        body = body[key] if isinstance(key, int) else body.setdefault(key, copy.deepcopy(NEEDS[key]))
    body[keys[-1]] = value


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_values_at_a_bound_are_taken_and_those_beyond_it_are_refused_by_name(shop_up: Up, route: Route) -> None:
    document = json.loads(shop_up.anyone.get("/openapi.json").body)
    scene = Scene(shop_up)
    wrong = []
    for place in places(document, route):
        if IGNORED & {(route.verb, route.template, name) for name in (place.first, place.own)}:
            continue
        for value, allowed in place.values():
            reply = send(scene, route, place, value)
            refused = {re.sub(r"\[\d+\]", "", field) for field in reply.fields} if is_invalid(reply) else set()
            if allowed == bool(refused) or not refused <= names(place, route):
                wrong.append((place.part, place.keys, str(value)[:40], len(str(value)), allowed, str(reply)))
    assert wrong == []


def names(place: Place, route: Route) -> set[str]:
    """Return the name by which an error may name a field."""
    if place.part == "path":
        return {next(name for name in VARIABLE.findall(route.template) if name.replace(".", "_") == place.own)}
    inside = route.binding.body in ("*", "form") or place.part == "query"
    return {ALSO_NAMED.get(place.own, place.own) if inside else f"{route.binding.body}.{place.own}"}


def is_invalid(reply: Reply) -> bool:
    return reply.status == 400 and reply.reason == "INVALID_FIELD"
