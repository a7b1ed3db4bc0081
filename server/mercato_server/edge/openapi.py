"""The OpenAPI 3.1 document, generated from the descriptors of mercato.v1.

Run by tools/proto.py: `python -m mercato_server.edge.openapi DESCRIPTOR_SET OUTPUT_JSON`. The set includes imports and source info, whose
comments become descriptions. The same set gives the same bytes.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto

from mercato.v1 import policy_pb2
from mercato_server.edge.schemas import PACKAGE, WELL_KNOWN, Behavior, Field, Schemas, Symbols, behaves

ABOUT = """
Accounts, catalog, carts and orders. The same RPCs speak gRPC and gRPC-Web on the same port.

A trailing slash makes no difference. Unknown query parameters are refused. int64 is a string, as in all proto3 JSON.
Every error is a `Status`; its `ErrorInfo` has the reason.
""".strip()

LOGIN = "/login"

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access_token that a login returns."},
    "oauth2": {
        "type": "oauth2",
        "description": "E-mail (as the username) and password.",
        "flows": {"password": {"tokenUrl": LOGIN, "scopes": {}}},
    },
}

CREDENTIALS_FORM = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {
        "grant_type": {"type": "string", "const": "password", "description": "May be left out."},
        "username": {"type": "string", "description": "E-mail address of the account."},
        "password": {"type": "string", "format": "password"},
    },
}
"""The OAuth 2.0 password form (RFC 6749 section 4.3.2). The RPC takes a google.api.HttpBody, which does not describe it."""

CREDENTIALS_JSON = {
    "type": "object",
    "required": ["password"],
    "anyOf": [{"required": ["username"]}, {"required": ["email"]}],
    "properties": {
        "username": {"type": "string", "description": "E-mail address of the account."},
        "email": {"type": "string", "description": "The same by another name."},
        "password": {"type": "string", "format": "password"},
    },
}

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 visible ASCII characters. A repeated call with the same key changes nothing and answers as the first did.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}

ACCESS_NOTES: Mapping[int, str] = {policy_pb2.ACCESS_ADMIN: "For administrators only."}
STATUS_NAMES = {200: "OK", 201: "Created"}
VARIABLE = re.compile(r"\{([^}=]+)(?:=[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Binding:
    """One verb and path of an RPC."""

    verb: str
    template: str
    body: str
    suffix: str

    @classmethod
    def of(cls, rule: http_pb2.HttpRule, *, additional: bool) -> Self:
        """Read a google.api.http rule; the operation id of an additional rule ends with its verb."""
        verb = rule.WhichOneof("pattern")
        if verb is None or verb == "custom":
            raise ValueError(f"a google.api.http rule without a verb: {rule}")
        return cls(verb, getattr(rule, verb), rule.body, f"_{verb}" if additional else "")

    @property
    def path(self) -> str:
        """The path as OpenAPI writes it: `{product.id}` as `{product_id}`."""
        return VARIABLE.sub(lambda found: "{" + found[1].replace(".", "_") + "}", self.template)

    @property
    def variables(self) -> list[str]:
        """Field paths of the variables, such as `product.id`."""
        return VARIABLE.findall(self.template)


class Operations:
    """Turns RPCs into operations, and collects the schemas that they refer to in `schemas`."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.schemas = Schemas(symbols)

    def of(self, service: str, method: MethodDescriptorProto, binding: Binding) -> dict[str, Any]:
        """Return the operation of one binding of an RPC."""
        policy = method.options.Extensions[policy_pb2.policy]
        parameters = [
            *self._path(method, binding),
            *self._query(method, binding),
            *([IDEMPOTENCY_KEY] if policy.idempotency_key else ()),
        ]
        operation: dict[str, Any] = {
            "tags": [service],
            **self._words(f"{PACKAGE}.{service}.{method.name}", policy),
            "operationId": f"{service}_{method.name}{binding.suffix}",
        }
        if parameters:
            operation["parameters"] = parameters
        if binding.body:
            operation["requestBody"] = self._body(method, binding)
        operation["responses"] = self._responses(method, policy)
        operation["security"] = [] if policy.access == policy_pb2.ACCESS_ANYONE else [{name: []} for name in SECURITY_SCHEMES]
        return operation

    def _words(self, name: str, policy: policy_pb2.Policy) -> dict[str, str]:
        text = self.symbols.comments.get(name, "")
        summary = re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(".:")
        note = ACCESS_NOTES.get(policy.access)
        return {"summary": summary, "description": f"{text}\n\n{note}" if note else text}

    def _path(self, method: MethodDescriptorProto, binding: Binding) -> Iterator[dict[str, Any]]:
        for variable in binding.variables:
            owner, field = self._resolve(method.input_type[1:], variable)
            yield {"name": variable.replace(".", "_"), "in": "path", "required": True, **self._parameter(owner, field)}

    def _query(self, method: MethodDescriptorProto, binding: Binding) -> Iterator[dict[str, Any]]:
        if binding.body != "*":
            yield from self._query_fields(method.input_type[1:], "", {*binding.variables, binding.body})

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
        """Return the schema of a parameter, with its description beside it, where tools expect it."""
        schema = self.schemas.field(owner, field)
        description = schema.pop("description", None)
        return {"description": description, "schema": schema} if description else {"schema": schema}

    def _resolve(self, owner: str, path: str) -> tuple[str, Field]:
        head, _, rest = path.partition(".")
        field = next(field for field in self.symbols.messages[owner].field if field.name == head)
        return self._resolve(field.type_name[1:], rest) if rest else (owner, field)

    def _body(self, method: MethodDescriptorProto, binding: Binding) -> dict[str, Any]:
        if binding.body == "*":
            request = self.schemas.object(method.input_type[1:], without=frozenset(binding.variables))
            schema = request if binding.variables else self.schemas.message(method.input_type[1:])
            content = {"application/json": {"schema": schema}}
            return {"required": True, "content": content} if "required" in request else {"content": content}
        _, field = self._resolve(method.input_type[1:], binding.body)
        if field.type_name == ".google.api.HttpBody":
            forms = {"application/x-www-form-urlencoded": CREDENTIALS_FORM, "application/json": CREDENTIALS_JSON}
            return {"required": True, "content": {media: {"schema": schema} for media, schema in forms.items()}}
        if binding.verb == "patch":
            schema = self.schemas.object(field.type_name[1:], partial=True)
        else:
            schema = self.schemas.message(field.type_name[1:])
        return {"required": True, "content": {"application/json": {"schema": schema}}}

    def _responses(self, method: MethodDescriptorProto, policy: policy_pb2.Policy) -> dict[str, Any]:
        status = policy.http_status or 200
        result = {"application/json": {"schema": self.schemas.message(method.output_type[1:])}}
        error = {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}}
        return {
            str(status): {"description": STATUS_NAMES[status], "content": result},
            **({"304": {"description": "The answer is the one whose entity tag `if-none-match` names."}} if policy.max_age_s else {}),
            "default": {"description": "An error; `code` and the reason in its ErrorInfo say which.", "content": error},
        }


def document(descriptors: FileDescriptorSet) -> dict[str, Any]:
    """Return the OpenAPI document of every RPC of mercato.v1 that states an HTTP rule."""
    symbols = Symbols(descriptors)
    operations = Operations(symbols)
    operations.schemas.error()
    files = [file for file in descriptors.file if file.package == PACKAGE]
    paths: dict[str, dict[str, Any]] = {}
    for service, method, binding in _bindings(files):
        paths.setdefault(binding.path, {})[binding.verb] = operations.of(service, method, binding)
    services = sorted(service.name for file in files for service in file.service)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mercato", "version": version("mercato"), "description": ABOUT},
        "tags": [{"name": name, "description": symbols.comments.get(f"{PACKAGE}.{name}", "")} for name in services],
        "paths": {path: dict(sorted(paths[path].items())) for path in sorted(paths)},
        "components": {"schemas": dict(sorted(operations.schemas.components.items())), "securitySchemes": SECURITY_SCHEMES},
    }


def main(descriptor_set: str, output: str) -> None:
    """Write the document of a descriptor set to a file."""
    descriptors = FileDescriptorSet.FromString(Path(descriptor_set).read_bytes())
    Path(output).write_text(json.dumps(document(descriptors), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _bindings(files: list[FileDescriptorProto]) -> Iterator[tuple[str, MethodDescriptorProto, Binding]]:
    for file in files:
        for service in file.service:
            for method in service.method:
                if method.options.HasExtension(annotations_pb2.http):
                    rule = method.options.Extensions[annotations_pb2.http]
                    yield service.name, method, Binding.of(rule, additional=False)
                    for further in rule.additional_bindings:
                        yield service.name, method, Binding.of(further, additional=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
