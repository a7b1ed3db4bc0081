"""The OpenAPI 3.1 document, generated from the RPCs of mercato.v1 (`mercato.rpcs`).

Run by tools/proto.py: `python -m mercato_server.edge.openapi DESCRIPTOR_SET OUTPUT_JSON`. The set includes imports and source info, whose
comments become descriptions. The same protos give the same bytes.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mercato.rpcs import Binding, Rpc, rpcs, services
from mercato.v1 import policy_pb2
from mercato_server.edge.answers import ANSWERS
from mercato_server.edge.bounds import CREDENTIALS, PACKAGE
from mercato_server.edge.examples import EXAMPLES, PARAMETERS
from mercato_server.edge.responses import ERROR, PROBES, PROBES_TAG, RESPONSES, errors
from mercato_server.edge.schemas import WELL_KNOWN, Behavior, Field, Schemas, Symbols, behaves
from mercato_server.handlers.idempotency import KEY

ABOUT = """
Accounts, catalog, carts and orders. The same RPCs speak gRPC and gRPC-Web on the same port.

A trailing slash makes no difference. Every GET is also a HEAD. Unknown fields of a body and unknown query parameters are refused. int64 is
a string, as in all proto3 JSON.

A purchase takes these calls, here with the examples of the demo shop. `QuoteCart` answers with the price and its parts, and `Checkout`
with the order that keeps them, or with `QUOTE_CHANGED` (409) and both prices if anything has changed since:

1. `POST /cart/add/{product_id}` adds goods.
2. `PATCH /v1/cart` sets the address, the method of delivery, the codes of promotions, and the contact.
3. `GET /v1/cart/shippingOptions` lists the methods that deliver to the address, with their prices.
4. `POST /v1/cart:quote` holds the price for 30 minutes.
5. `POST /orders/checkout` with the `quote_id` and an `Idempotency-Key` places the order.

Every error is a `Status`; its `ErrorInfo` has the reason. Later releases may add fields to responses, values to enums and types of details
to errors; a client ignores those that it does not know.
""".strip()

SERVERS = [{"url": "/", "description": "The shop that serves this document."}]
CONTACT = {"name": "The operator of this shop"}
LICENSE = {"name": "MIT", "identifier": "MIT"}
TAGS = ("CatalogService", "CartService", "OrderService", "AuthService", "UserService", "ShippingService", "AuditService")
"""The services in the order in which a shopper needs them; others follow."""

LOGIN = "/login"

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access_token that a login returns."},
    "oauth2": {
        "type": "oauth2",
        "description": "E-mail (as the username) and password.",
        "flows": {"password": {"tokenUrl": LOGIN, "scopes": {}}},
    },
}

_GUEST = {
    "guest_token": {"type": "string", "description": "Refresh token of a guest whose cart joins the account's cart."},
    "cart_merge": {"type": "string", "enum": ["SUM", "KEEP", "REPLACE"], "description": "How the carts are joined; SUM by default."},
}
"""Fields of a login body for a guest that logs in."""

CREDENTIALS_FORM = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["password"], "description": "May be left out."},
        "username": {"type": "string", **CREDENTIALS["username"], "description": "E-mail address of the account."},
        "password": {"type": "string", **CREDENTIALS["password"], "writeOnly": True},
        **_GUEST,
    },
}
"""The OAuth 2.0 password form (RFC 6749 section 4.3.2). The RPC takes a google.api.HttpBody, which does not describe it."""

CREDENTIALS_JSON = {
    "type": "object",
    "required": ["password"],
    "anyOf": [{"required": ["username"]}, {"required": ["email"]}],
    "properties": {
        "username": {"type": "string", **CREDENTIALS["username"], "description": "E-mail address of the account."},
        "email": {"type": "string", **CREDENTIALS["email"], "description": "The same by another name."},
        "password": {"type": "string", **CREDENTIALS["password"], "writeOnly": True},
        **_GUEST,
    },
    "additionalProperties": False,
}

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 visible ASCII characters. A repeated call with the same key changes nothing and answers as the first did.",
    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
}

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "Entity tags of which the resource must have one, as read in the header or the field `etag`; else 412. `*` for any.",
    "schema": {"type": "string"},
}

NOTICE = {"type": "object", "description": "The notice, as the provider has sent it."}

PICTURE = {"type": "string", "contentEncoding": "binary", "description": "The bytes of a picture file."}
UPLOADED = {**PICTURE, "description": "The bytes of a picture file. Any content type is taken, as the content decides."}

RAW_BODIES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    f"{PACKAGE}.LoginFormRequest": {"application/x-www-form-urlencoded": CREDENTIALS_FORM, "application/json": CREDENTIALS_JSON},
    f"{PACKAGE}.HandlePaymentEventRequest": {"application/json": NOTICE},
    f"{PACKAGE}.UploadPictureContentRequest": {"application/octet-stream": UPLOADED},
}
"""The bodies of requests that take a google.api.HttpBody, which does not describe them, by media type."""

RAW_ANSWERS: Mapping[str, Mapping[str, dict[str, Any]]] = {f"{PACKAGE}.GetPictureRequest": {"image/webp": PICTURE}}
"""The same of responses, by request."""

ACCESS_NOTES: Mapping[int, str] = {policy_pb2.ACCESS_ADMIN: "For administrators only."}
STATUS_NAMES = {200: "OK", 201: "Created"}
VARIABLE = re.compile(r"\{([^}=]+)(?:=[^}]*)?\}")


class Operations:
    """Turns RPCs into operations, and collects the schemas that they refer to in `schemas`."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.schemas = Schemas(symbols, (rpc.response_type.DESCRIPTOR.full_name for rpc in rpcs() if rpc.response_type is not HttpBody))

    def of(self, rpc: Rpc, number: int) -> dict[str, Any]:
        """Return the operation of an RPC's binding with a number from 0; the operation id of a further binding ends with its verb."""
        binding, service = rpc.bindings[number], rpc.service.removeprefix(f"{PACKAGE}.")
        request = rpc.request_type.DESCRIPTOR.full_name
        parameters = [
            *self._path(request, binding),
            *self._query(request, binding),
            *([IDEMPOTENCY_KEY] if rpc.policy.idempotency_key else ()),
            *([IF_MATCH] if rpc.takes_etag else ()),
        ]
        operation: dict[str, Any] = {
            "tags": [service],
            **self._words(f"{rpc.service}.{rpc.name}", rpc.policy),
            "operationId": f"{service}_{rpc.name}" + (f"_{binding.verb.lower()}" if number else ""),
        }
        if parameters:
            operation["parameters"] = parameters
        if binding.body:
            operation["requestBody"] = self._body(request, binding, EXAMPLES[rpc.name])
        operation["responses"] = self._responses(rpc, binding)
        operation["security"] = [] if rpc.policy.access == policy_pb2.ACCESS_ANYONE else [{name: []} for name in SECURITY_SCHEMES]
        return operation

    def _words(self, name: str, policy: policy_pb2.Policy) -> dict[str, str]:
        text = self.symbols.comments.get(name, "")
        summary = re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(".:")
        note = ACCESS_NOTES.get(policy.access)
        return {"summary": summary, "description": f"{text}\n\n{note}" if note else text}

    def _path(self, request: str, binding: Binding) -> Iterator[dict[str, Any]]:
        for variable in VARIABLE.findall(binding.path):
            owner, field = self._resolve(request, variable)
            parameter = self._parameter(owner, field)
            parameter["schema"].pop("readOnly", None)
            yield {"name": variable.replace(".", "_"), "in": "path", "required": True, **parameter}

    def _query(self, request: str, binding: Binding) -> Iterator[dict[str, Any]]:
        if binding.body != "*":
            yield from self._query_fields(request, "", {*VARIABLE.findall(binding.path), binding.body})

    def _query_fields(self, owner: str, prefix: str, bound: set[str]) -> Iterator[dict[str, Any]]:
        for field in self.symbols.messages[owner].field:
            name = prefix + field.name
            if name in bound:
                continue
            if field.type == Field.TYPE_MESSAGE and field.type_name[1:] not in WELL_KNOWN:
                if field.label != Field.LABEL_REPEATED:  # a list of messages cannot be written as a query
                    yield from self._query_fields(field.type_name[1:], f"{name}.", bound)
                continue
            required = {"required": True} if behaves(field, Behavior.REQUIRED) else {}
            yield {"name": name, "in": "query", **required, **self._parameter(owner, field)}

    def _parameter(self, owner: str, field: Field) -> dict[str, Any]:
        """Return the schema of a parameter, with its description and example beside it, where tools expect them."""
        schema = self.schemas.field(owner, field, request=True)
        description = schema.pop("description", None)
        example = PARAMETERS.get(f"{owner.removeprefix(f'{PACKAGE}.')}.{field.name}")
        return {
            **({"description": description} if description else {}),
            "schema": schema,
            **({"example": example} if example else {}),
        }

    def _resolve(self, owner: str, path: str) -> tuple[str, Field]:
        head, _, rest = path.partition(".")
        field = next(field for field in self.symbols.messages[owner].field if field.name == head)
        return self._resolve(field.type_name[1:], rest) if rest else (owner, field)

    def _body(self, request: str, binding: Binding, example: dict[str, Any]) -> dict[str, Any]:
        if binding.body == "*":
            schema = self.schemas.message(request, request=True, without=frozenset(VARIABLE.findall(binding.path)))
            content = {"application/json": {"schema": schema, "example": example}}
            component = self.schemas.components[schema["$ref"].rpartition("/")[2]]
            return {"required": True, "content": content} if "required" in component else {"content": content}
        _, field = self._resolve(request, binding.body)
        if field.type_name == ".google.api.HttpBody":
            forms = RAW_BODIES[request]
            shown = {"example": example} if example else {}
            return {"required": True, "content": {media: {"schema": schema, **shown} for media, schema in forms.items()}}
        schema = self.schemas.message(field.type_name[1:], request=True, partial=binding.verb == "PATCH")
        return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}

    def _content(self, rpc: Rpc) -> dict[str, Any]:
        raw = RAW_ANSWERS.get(rpc.request_type.DESCRIPTOR.full_name)
        if raw:
            return {media: {"schema": schema} for media, schema in raw.items()}
        return {"application/json": {"schema": self.schemas.message(rpc.response_type.DESCRIPTOR.full_name, request=False)}}

    def _responses(self, rpc: Rpc, binding: Binding) -> dict[str, Any]:
        status = str(rpc.policy.http_status or 200)
        examples = ANSWERS.get(rpc.name, {})
        result = self._content(rpc)
        comment = "\n".join(self.symbols.comments.get(name, "") for name in (rpc.service, f"{rpc.service}.{rpc.name}"))
        return {
            status: _with_example({"description": STATUS_NAMES[int(status)], "content": result}, examples.get(status)),
            **({"308": {"description": "The thing has another slug, at the location."}} if rpc.policy.redirects else {}),
            **({"304": {"description": "The answer is the one whose entity tag `if-none-match` names."}} if rpc.policy.max_age_s else {}),
            **{each: _error(each, examples.get(each)) for each in errors(rpc, binding, comment)},
        }


def _error(status: str, example: Any) -> dict[str, Any]:
    """Return the response of an error, which is a component unless it has an example of its own."""
    if example is None:
        return {"$ref": f"#/components/responses/{status}"}
    return _with_example({**RESPONSES[status], "content": ERROR}, example)


def _with_example(response: dict[str, Any], example: Any) -> dict[str, Any]:
    if example is None:
        return response
    content = {media: {**described, "example": example} for media, described in response["content"].items()}
    return {**response, "content": content}


def document(descriptors: FileDescriptorSet) -> dict[str, Any]:
    """Return the OpenAPI document of every RPC of mercato.v1 that states an HTTP rule; comments come from the descriptor set."""
    symbols = Symbols(descriptors)
    operations = Operations(symbols)
    operations.schemas.error()
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    tags = sorted(services(), key=lambda service: _place(service.name))
    known = {rpc.path: rpc for rpc in rpcs()}
    for rpc in (known[f"/{tag.full_name}/{method.name}"] for tag in tags for method in tag.methods):
        for number, binding in enumerate(rpc.bindings):
            paths[path(binding)][binding.verb.lower()] = operations.of(rpc, number)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mercato", "version": version("mercato-server"), "description": ABOUT, "contact": CONTACT, "license": LICENSE},
        "servers": SERVERS,
        "tags": [*({"name": tag.name, "description": symbols.comments.get(tag.full_name, "")} for tag in tags), PROBES_TAG],
        "paths": {**{path: dict(sorted(operations.items())) for path, operations in paths.items()}, **PROBES},
        "components": {
            "schemas": dict(sorted(operations.schemas.components.items())),
            "responses": {status: {**response, "content": ERROR} for status, response in RESPONSES.items()},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _place(tag: str) -> tuple[int, str]:
    """Return the place of a tag in the document."""
    return TAGS.index(tag) if tag in TAGS else len(TAGS), tag


def path(binding: Binding) -> str:
    """Return the path as OpenAPI writes it: `{product.id}` as `{product_id}`."""
    return VARIABLE.sub(lambda found: "{" + found[1].replace(".", "_") + "}", binding.path)


def main(descriptor_set: str, output: str) -> None:
    """Write the document of a descriptor set to a file."""
    descriptors = FileDescriptorSet.FromString(Path(descriptor_set).read_bytes())
    Path(output).write_text(json.dumps(document(descriptors), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
