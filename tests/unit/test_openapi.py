import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from openapi_spec_validator import OpenAPIV31SpecValidator

from mercato.rpcs import Rpc, rpcs
from mercato.v1 import policy_pb2
from mercato_server.edge.openapi import document, main

PROTOS = Path(__file__).parents[2] / "protos"
VERBS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def descriptor_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The descriptor set as tools/proto.py makes it: with comments and imports."""
    path = tmp_path_factory.mktemp("openapi") / "descriptors.binpb"
    sources = sorted(str(source.relative_to(PROTOS)) for source in PROTOS.rglob("*.proto"))
    options = [f"-I{PROTOS}", f"-I{sysconfig.get_path('purelib')}", "--include_imports", "--include_source_info"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, f"--descriptor_set_out={path}", *sources], check=True)
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


def test_document_is_valid_openapi(openapi: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(openapi).iter_errors()] == []
    assert openapi["openapi"].startswith("3.1")


def test_every_binding_of_every_rpc_is_an_operation_and_nothing_else_is(openapi: dict[str, Any]) -> None:
    operations = [each for path in openapi["paths"].values() for verb, each in path.items() if verb in VERBS]
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


def test_success_has_the_status_of_the_policy_and_errors_are_one_schema(openapi: dict[str, Any]) -> None:
    for rpc, verb, template in bindings():
        responses = operation(openapi, verb, template)["responses"]
        assert list(responses) == [str(rpc.policy.http_status or 200), *["304"] * bool(rpc.policy.max_age_s), "default"], rpc.path
        assert responses["default"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Status"}


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
    assert "required" not in patch["requestBody"]["content"]["application/json"]["schema"]
    assert openapi["components"]["schemas"]["Product"]["required"] == ["name", "price"]


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
