import json
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

import proto
from mercato.rpcs import Rpc, files, rpcs
from mercato.v1 import policy_pb2
from mercato_server.edge import bounds
from mercato_server.edge.openapi import document, main

PROTOS = Path(__file__).parents[2] / "protos"
VERBS = {"get", "post", "put", "patch", "delete"}
PROBES = {"/livez", "/readyz"}
NEVER_ABSENT = {"/cart/items/{product_id}", "/webhooks/payments/{provider}"}
"""An absent line is removed already; a notice of another provider is like one that is forged."""


@pytest.fixture(scope="module")
def descriptor_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The descriptor set as tools/proto.py makes it: with comments and imports."""
    path = tmp_path_factory.mktemp("openapi") / "descriptors.binpb"
    sources = sorted(str(source.relative_to(PROTOS)) for source in PROTOS.rglob("*.proto"))
    options = [f"-I{PROTOS}", f"-I{sysconfig.get_path('purelib')}", "--include_imports", "--include_source_info"]
    subprocess.run([proto.COMPILER, "-m", "grpc_tools.protoc", *options, f"--descriptor_set_out={path}", *sources], check=True)
    return path


@pytest.fixture(scope="module")
def openapi(descriptor_file: Path) -> dict[str, Any]:
    return document(FileDescriptorSet.FromString(descriptor_file.read_bytes()))


def operation(openapi: dict[str, Any], verb: str, template: str) -> dict[str, Any]:
    path = re.sub(r"\{[^}]*\}", lambda variable: variable[0].replace(".", "_"), template)
    found: dict[str, Any] = openapi["paths"][path][verb.lower()]
    return found


def bindings() -> list[tuple[Rpc, str, str]]:
    return [(rpc, binding.verb, binding.path) for rpc in rpcs() for binding in rpc.bindings]


def messages() -> Iterator[tuple[str, Descriptor]]:
    """Yield every message of mercato.v1 with its name."""
    waiting = [message for file in files() for message in file.message_types_by_name.values()]
    for message in waiting:
        waiting.extend(message.nested_types)
        yield str(message.full_name).removeprefix("mercato.v1."), message


def descriptions(value: Any) -> Iterator[str]:
    """Yield every description and summary of a document."""
    if isinstance(value, list):
        for item in value:
            yield from descriptions(item)
    elif isinstance(value, dict):
        yield from (text for name, text in value.items() if name in ("description", "summary") and isinstance(text, str))
        for item in value.values():
            yield from descriptions(item)


def test_document_is_valid_openapi(openapi: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(openapi).iter_errors()] == []
    assert openapi["openapi"].startswith("3.1")


def test_every_binding_of_every_rpc_is_an_operation_and_nothing_else_is(openapi: dict[str, Any]) -> None:
    operations = [each for name, path in openapi["paths"].items() if name not in PROBES for verb, each in path.items() if verb in VERBS]
    expected = [operation(openapi, verb, template) for _, verb, template in bindings()]
    assert len(operations) == len(expected)
    assert len({each["operationId"] for each in expected}) == len(expected)


def test_security_is_what_the_policies_state(openapi: dict[str, Any]) -> None:
    schemes: list[dict[str, list[str]]] = [{name: []} for name in openapi["components"]["securitySchemes"]]
    for rpc, verb, template in bindings():
        public = rpc.policy.access == policy_pb2.ACCESS_ANYONE
        assert operation(openapi, verb, template)["security"] == ([] if public else schemes), rpc.path


def test_operations_for_administrators_say_so(openapi: dict[str, Any]) -> None:
    for rpc, verb, template in bindings():
        said = "For administrators only." in operation(openapi, verb, template)["description"]
        assert said == (rpc.policy.access == policy_pb2.ACCESS_ADMIN), rpc.path


def test_every_operation_has_the_status_of_its_policy_and_the_errors_of_its_kind(openapi: dict[str, Any]) -> None:
    for rpc, verb, template in bindings():
        responses = operation(openapi, verb, template)["responses"]
        expected = {str(rpc.policy.http_status or 200), "400", "429", "default"}
        expected |= {"304"} if rpc.policy.max_age_s else set()
        expected |= {"308"} if rpc.policy.redirects else set()
        expected |= {"401"} if rpc.policy.access != policy_pb2.ACCESS_ANYONE else set()
        expected |= {"403"} if rpc.policy.access == policy_pb2.ACCESS_ADMIN else set()
        expected |= {"413", "415"} if verb in ("POST", "PUT", "PATCH") else set()
        expected |= {"409", "412"} if rpc.takes_etag else set()
        expected |= {"404"} if "{" in template and template not in NEVER_ABSENT else set()
        assert expected <= set(responses), rpc.path
        assert set(responses) - expected <= {"401", "403", "404", "409"}, rpc.path


@pytest.mark.parametrize(
    ("verb", "template", "statuses"),
    [
        ("POST", "/signup", {"201", "400", "409", "413", "415", "429", "default"}),
        ("POST", "/login", {"200", "400", "401", "409", "413", "415", "429", "default"}),
        ("GET", "/products", {"200", "304", "400", "401", "403", "429", "default"}),
        ("GET", "/cart", {"200", "400", "401", "429", "default"}),
        ("POST", "/cart/add/{product_id}", {"200", "400", "401", "404", "413", "415", "429", "default"}),
        ("PATCH", "/cart/items/{product_id}", {"200", "400", "401", "404", "413", "415", "429", "default"}),
        ("POST", "/orders/checkout", {"201", "400", "401", "404", "409", "413", "415", "429", "default"}),
        ("DELETE", "/products/{product_id}", {"200", "400", "401", "403", "404", "409", "412", "429", "default"}),
        ("POST", "/v1/orders/{order_id}:advance", {"200", "400", "401", "403", "404", "409", "413", "415", "429", "default"}),
    ],
)
def test_an_operation_names_the_statuses_that_it_can_answer(openapi: dict[str, Any], verb: str, template: str, statuses: set[str]) -> None:
    assert set(operation(openapi, verb, template)["responses"]) == statuses


def test_every_error_is_a_status(openapi: dict[str, Any]) -> None:
    for response in openapi["components"]["responses"].values():
        assert response["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}}


def test_a_type_of_detail_is_one_value_by_which_programs_tell_details_apart(openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    detail = schemas["ErrorDetail"]
    assert schemas["Status"]["properties"]["details"]["items"] == {"$ref": "#/components/schemas/ErrorDetail"}
    assert detail["discriminator"]["propertyName"] == "@type"
    assert [one["$ref"] for one in detail["oneOf"]] == list(detail["discriminator"]["mapping"].values())
    for url, reference in detail["discriminator"]["mapping"].items():
        schema = schemas[reference.rpartition("/")[2]]
        assert schema["properties"]["@type"] == {"type": "string", "enum": [url]}
        assert "@type" in schema["required"]


def test_requests_require_what_the_protos_do_and_responses_what_is_always_sent(openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    assert schemas["ProductInput"]["required"] == ["name", "price"]
    assert set(schemas["Product"]["properties"]) - set(schemas["Product"]["required"]) == {"delete_time"}
    assert schemas["MoneyInput"]["required"] == ["minor_units"]
    assert schemas["Money"]["required"] == ["currency_code", "minor_units"]
    assert schemas["Cart"]["required"] == ["lines", "total", "etag", "missing"]
    assert schemas["SignUpRequest"]["properties"]["password"]["writeOnly"]
    assert schemas["ProductInput"]["properties"]["create_time"]["readOnly"]
    assert not schemas["ProductInput"]["additionalProperties"]


def test_every_id_has_a_format(openapi: dict[str, Any]) -> None:
    others = {"request_id", "kid"}
    for name, schema in openapi["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            if re.fullmatch(r"(.*_)?id", field) and field not in others:
                assert {"format", "pattern"} & set(described), (name, field)
    for _, verb, template in bindings():
        for parameter in operation(openapi, verb, template).get("parameters", ()):
            if re.fullmatch(r"(.*_)?id", parameter["name"]):
                assert parameter["schema"].get("format") == "uuid" or "tax_category" in parameter["name"], (template, parameter)
                assert {"format", "pattern"} & set(parameter["schema"]), (template, parameter)


def test_every_bound_is_of_a_field(openapi: dict[str, Any]) -> None:
    fields = {
        f"{message}.{field}"
        for message, descriptor in messages()
        for field in (name + suffix for name in descriptor.fields_by_name for suffix in ("", "[]"))
    }
    assert {*bounds.EVERYWHERE, *bounds.OF_REQUESTS} <= fields


def test_shopping_comes_before_accounts(openapi: dict[str, Any]) -> None:
    tags = [tag["name"] for tag in openapi["tags"]]
    services = [
        *("CatalogService", "CartService", "OrderService", "AuthService", "UserService", "ShippingService", "AuditService"),
        *("FulfillmentService", "MediaService", "PaymentService", "PromotionService", "ShopService", "TaxService"),
    ]
    assert tags == [*services, "Probes"]
    of_paths = [next(iter(path.values()))["tags"][0] for path in openapi["paths"].values()]
    assert list(dict.fromkeys(of_paths)) == tags
    assert next(iter(openapi["paths"])) == "/products"


def test_words_are_those_of_http(openapi: dict[str, Any]) -> None:
    for described in descriptions(openapi):
        assert not re.search(r"metadata `idempotency|initial metadata|trailing metadata|With metadata", described), described


def test_every_example_is_valid(openapi: dict[str, Any]) -> None:
    for _, verb, template in bindings():
        for media in operation(openapi, verb, template).get("requestBody", {"content": {}})["content"].values():
            if media["schema"].get("contentEncoding") == "binary":
                continue  # the bytes of a file
            whole = {**media["schema"], "components": openapi["components"]}
            OAS31Validator(whole, format_checker=oas31_format_checker).validate(media["example"])


def test_every_example_of_an_answer_is_valid_and_its_parts_add_up(openapi: dict[str, Any]) -> None:
    found = {
        (verb, template, status): media
        for _, verb, template in bindings()
        for status, response in operation(openapi, verb, template)["responses"].items()
        for media in response.get("content", {}).values()
        if "example" in media
    }
    assert found.keys() == {
        ("GET", "/v1/cart/shippingOptions", "200"),
        ("POST", "/v1/cart:quote", "201"),
        ("POST", "/orders/checkout", "201"),
        ("POST", "/orders/checkout", "409"),
    }
    for media in found.values():
        whole = {**media["schema"], "components": openapi["components"]}
        OAS31Validator(whole, format_checker=oas31_format_checker).validate(media["example"])
    quote, order = found["POST", "/v1/cart:quote", "201"]["example"], found["POST", "/orders/checkout", "201"]["example"]
    [_, change] = found["POST", "/orders/checkout", "409"]["example"]["details"]
    assert quote["price"] == order["price"] == change["quoted"]
    for price in (change["quoted"], change["current"]):
        subtotal, discount, tax, total = (int(price[name]["minor_units"]) for name in ("subtotal", "discount", "tax", "total"))
        assert total == subtotal - discount + int(price["delivery"]["price"]["minor_units"])
        assert [int(rate["net"]["minor_units"]) for rate in price["taxes"]] == [total - tax]


def test_every_operation_and_parameter_is_described(openapi: dict[str, Any]) -> None:
    for _, verb, template in bindings():
        found = operation(openapi, verb, template)
        assert found["summary"]
        assert found["description"]
        assert all(parameter["description"] for parameter in found.get("parameters", ()))


def test_path_variables_are_parameters_without_dots(openapi: dict[str, Any]) -> None:
    for path, operations in openapi["paths"].items():
        variables = set(re.findall(r"\{([^}]*)\}", path))
        assert all(variable.isidentifier() for variable in variables)
        for each in operations.values():
            assert {parameter["name"] for parameter in each.get("parameters", ()) if parameter["in"] == "path"} == variables


def test_checkout_takes_an_idempotency_key_and_reads_do_not(openapi: dict[str, Any]) -> None:
    checkout = operation(openapi, "POST", "/orders/checkout")
    assert ("Idempotency-Key", "header") in {(parameter["name"], parameter["in"]) for parameter in checkout["parameters"]}
    assert "parameters" not in operation(openapi, "GET", "/cart")


def test_login_takes_the_oauth2_form_and_json(openapi: dict[str, Any]) -> None:
    body = operation(openapi, "POST", "/login")["requestBody"]
    assert body["required"]
    assert set(body["content"]) == {"application/x-www-form-urlencoded", "application/json"}
    assert openapi["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["tokenUrl"] == "/login"


def test_update_takes_its_mask_from_the_query_and_a_patch_requires_no_field(openapi: dict[str, Any]) -> None:
    patch = operation(openapi, "PATCH", "/products/{product.id}")
    assert "update_mask" in {parameter["name"] for parameter in patch["parameters"]}
    assert patch["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ProductPatch"}
    assert "required" not in openapi["components"]["schemas"]["ProductPatch"]


def test_json_types_are_those_of_proto3_json(openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    assert schemas["Money"]["properties"]["minor_units"]["type"] == "string"
    assert schemas["LoginResponse"]["properties"]["expires_in"]["type"] == "integer"
    assert schemas["Product"]["properties"]["create_time"]["format"] == "date-time"
    assert schemas["Product"]["properties"]["create_time"]["readOnly"]
    assert "ORDER_STATUS_PLACED" in schemas["OrderStatus"]["enum"]
    assert schemas["ErrorInfo"]["properties"]["metadata"]["additionalProperties"] == {"type": "string"}


def test_a_body_without_required_fields_may_be_left_out(openapi: dict[str, Any]) -> None:
    assert "required" not in operation(openapi, "POST", "/cart/add/{product_id}")["requestBody"]
    assert operation(openapi, "POST", "/signup")["requestBody"]["required"]


def test_the_same_descriptors_give_the_same_bytes(descriptor_file: Path, tmp_path: Path) -> None:
    for name in ("first.json", "second.json"):
        main(str(descriptor_file), str(tmp_path / name))
    first = (tmp_path / "first.json").read_text(encoding="utf-8")
    assert first == (tmp_path / "second.json").read_text(encoding="utf-8")
    assert first.endswith("}\n")
    assert json.loads(first)["info"]["title"] == "Mercato"
