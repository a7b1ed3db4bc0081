"""The OpenAPI document is valid, and describes the real answers."""

import json
import re
import uuid
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import validate

from rest.routes import ROUTES, Route, Scene
from support.mercato_up import PASSWORD, Up


@pytest.fixture(scope="module")
def document(shop_up: Up) -> dict[str, Any]:
    reply = shop_up.anyone.get("/openapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    loaded: dict[str, Any] = reply.json
    return loaded


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_the_document_has_exactly_the_routes(document: dict[str, Any]) -> None:
    documented = {(verb.upper(), path) for path, operations in document["paths"].items() for verb in operations}
    assert documented == {(route.verb, documented_path(route)) for route in ROUTES} | {("GET", "/livez"), ("GET", "/readyz")}


def test_every_reference_and_id_of_the_document_is_sound(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for reference in set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', text)):
        assert reference in document["components"]["schemas"]
    ids = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_requests_and_answers_of_a_route_match_the_document(shop_up: Up, document: dict[str, Any], route: Route) -> None:
    operation = document["paths"][documented_path(route)][route.verb.lower()]
    scene = Scene(shop_up)
    sent = route.body(scene)
    if sent is not None and "application/json" in operation["requestBody"]["content"]:
        conform(document, operation["requestBody"], sent)
    reply = route.call(scene)
    answer = described(document, operation, reply.status)
    if route.media == "application/json":
        conform(document, answer, reply.json)
    else:
        assert list(answer["content"]) == [route.media]
    variables = re.findall(r"\{([^}]*)\}", documented_path(route))
    assert [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"] == variables
    path = route.path(scene)
    refused = shop_up.anyone.send_json(route.verb, f"{path}{'&' if '?' in path else '?'}no_such=1")
    assert refused.status in (400, 401)
    conform(document, described(document, operation, refused.status), refused.json)
    assert bool(operation["security"]) == (shop_up.anyone.send_json(route.verb, path, sent).status == 401)


def test_every_kind_of_error_matches_the_document(shop_up: Up, document: dict[str, Any]) -> None:
    anyone, buyer = shop_up.anyone, shop_up.buyer()
    product_id = shop_up.product(stock=0)["id"]
    empty = buyer.post("/orders/checkout")
    buyer.post(f"/cart/add/{product_id}")
    errors = [
        anyone.post("/signup", {}),
        anyone.get("/me"),
        buyer.get("/admin-only"),
        anyone.get(f"/products/{uuid.uuid4()}"),
        anyone.post("/signup", {"email": buyer.email, "password": PASSWORD}),
        buyer.post("/orders/checkout", {"cart_etag": "x"}),
        buyer.post("/orders/checkout"),
        empty,
        anyone.get("/nowhere"),
        anyone.post("/signup", {"full_name": "x" * 100_000}),
    ]
    assert [error.status for error in errors] == [400, 401, 403, 404, 409, 409, 400, 400, 404, 413]
    for error in errors:
        conform(document, document["components"]["responses"][str(error.status)], error.json)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_the_probes_answer_as_the_document_says(shop_up: Up, document: dict[str, Any], path: str) -> None:
    conform(document, document["paths"][path]["get"]["responses"]["200"], shop_up.anyone.get(path).json)


def documented_path(route: Route) -> str:
    return re.sub(r"\{(\w+)\.id\}", r"{\1_id}", route.template)
    return re.sub(r"\{[^}]*\}", lambda variable: variable[0].replace(".", "_"), route.template)
    return route.template.replace(".id}", "_id}")


def described(document: dict[str, Any], operation: dict[str, Any], status: int) -> dict[str, Any]:
    """Return what an operation says of its answers with a status, which it must name unless the server failed."""
    found: dict[str, Any] = operation["responses"][str(status) if status < 500 else "default"]
    return document["components"]["responses"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def conform(document: dict[str, Any], described: dict[str, Any], value: Any) -> None:
    """Check a value against the JSON schema of a body; fields that the schema does not have are errors too."""
    schema = described["content"]["application/json"]["schema"]
    whole = closed({**schema, "components": document["components"]})
    OAS31Validator(whole, format_checker=oas31_format_checker).validate(value)


def closed(schema: Any) -> Any:
    """Return a schema whose objects have no further properties."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    is_object = schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema
    return {**inner, "additionalProperties": False} if is_object else inner
