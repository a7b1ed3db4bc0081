"""The services of the Python clients, from the descriptors: the same methods twice, with and without `await`."""

import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

import proto
from mercato.rpcs import Rpc, rpcs, services
from mercato.v1 import policy_pb2

ROOT = Path(__file__).parent.parent
SERVICES = ROOT / "clients/python/mercato/_services"
ATTRIBUTES = {
    "AuthService": "auth",
    "UserService": "users",
    "AuditService": "audit",
    "CatalogService": "catalog",
    "MediaService": "media",
    "CartService": "cart",
    "OrderService": "orders",
    "FulfillmentService": "fulfillment",
    "ShippingService": "shipping",
    "PromotionService": "promotions",
    "ShopService": "shop",
    "TaxService": "taxes",
    "PaymentService": "payments",
}
"""The attribute of a client for each service. A service without one fails here."""
USUAL_TIMEOUT_MS = 5_000
"""The timeout of a client. RPCs with a longer one of their own get that."""
RESERVED = {"timeout", "metadata", "idempotency_key", "request"}
"""Keywords of every method, which no field may be named."""
WIDTH = 130
MODULES = {
    "google/api/httpbody.proto": "google.api.httpbody_pb2",
    "google/protobuf/field_mask.proto": "google.protobuf.field_mask_pb2",
    "google/protobuf/struct.proto": "google.protobuf.struct_pb2",
    "google/protobuf/timestamp.proto": "google.protobuf.timestamp_pb2",
}
"""Modules of messages that are not ours."""
SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_INT32: "int",
    FieldDescriptor.CPPTYPE_INT64: "int",
    FieldDescriptor.CPPTYPE_UINT32: "int",
    FieldDescriptor.CPPTYPE_UINT64: "int",
}


@dataclass(frozen=True, slots=True)
class Twin:
    """The words in which the two modules of services differ."""

    module: str
    pager: str
    define: str
    wait: str
    requests: str
    doc: str


TWINS = (
    Twin("sync", "Pager", "def", "", "Iterable[{}]", "The services of `Client`."),
    Twin("aio", "AsyncPager", "async def", "await ", "Iterable[{0}] | AsyncIterable[{0}]", "The services of `AsyncClient`."),
)


def generated() -> dict[Path, str]:
    """Return the content of each generated file."""
    pages = {
        "__init__.py": '"""The services of the clients, generated from protos/; never edited."""\n',
        "methods.py": _methods(),
        **{f"{twin.module}.py": _services(twin) for twin in TWINS},
    }
    return {SERVICES / name: formatted(text, fix="I") for name, text in pages.items()}


def formatted(text: str, fix: str = "") -> str:
    """Return Python as our formatter writes it, after the mends of some rules of the linter."""
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    names = ["--no-cache", "--stdin-filename", str(ROOT / "clients/python/mercato/generated.py"), "-"]
    for command in ([["check", "--quiet", "--fix-only", "--select", fix]] if fix else []) + [["format", "--quiet"]]:
        done = subprocess.run([*ruff, *command, *names], input=text, capture_output=True, text=True, check=True, cwd=ROOT)
        text = done.stdout
    return text


def _imports(names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        package, _, module = name.rpartition(".")
        yield f"from {package} import {module}"


def _module(file: Any) -> str:
    return MODULES.get(file.name) or file.name.removesuffix(".proto").replace("/", ".") + "_pb2"


def type_name(kind: Any) -> str:
    """Return a type as an expression of the generated module."""
    names = [kind.name]
    outer = kind.containing_type
    while outer is not None:
        names.insert(0, outer.name)
        outer = outer.containing_type
    return f"{_module(kind.file).rpartition('.')[2]}.{'.'.join(names)}"


def _annotation(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (single(field.message_type.fields_by_name[name]) for name in ("key", "value"))
        return f"Mapping[{key}, {value}]"
    return f"Iterable[{single(field)}]" if field.is_repeated else single(field)


def single(field: FieldDescriptor) -> str:
    """Return the type of a value of a field."""
    if field.message_type is not None:
        return type_name(field.message_type)
    if field.enum_type is not None:
        return f"{type_name(field.enum_type)}.ValueType"
    return SCALARS.get(field.cpp_type) or ("bytes" if field.type == FieldDescriptor.TYPE_BYTES else "str")


def _used(rpc: Rpc) -> Iterator[str]:
    """Yield the modules that a method of an RPC names."""
    request, response = rpc.request_type.DESCRIPTOR, rpc.response_type.DESCRIPTOR
    items = _items(rpc)
    kinds: tuple[Any, ...] = (
        request,
        response,
        *(field.message_type or field.enum_type for field in request.fields),
        items and items.message_type,
    )
    for kind in kinds:
        if kind is not None:
            yield _module(kind.file)


def _items(rpc: Rpc) -> Any:
    """Return the items of a paged RPC, which is known by its shape: page_token, next_page_token, and the first repeated field."""
    request, response = rpc.request_type.DESCRIPTOR, rpc.response_type.DESCRIPTOR
    if "page_token" not in request.fields_by_name or "next_page_token" not in response.fields_by_name:
        return None
    return next(field for field in response.fields if field.is_repeated)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _constant(rpc: Rpc) -> str:
    service = rpc.service.rpartition(".")[2].removesuffix("Service")
    return f"{_snake(service)}_{_snake(rpc.name)}".upper()


def _methods() -> str:
    modules: set[str] = set()
    lines = []
    for rpc in rpcs():
        request, response = rpc.request_type.DESCRIPTOR, rpc.response_type.DESCRIPTOR
        modules |= {_module(request.file), _module(response.file)}
        credentials = "ALWAYS" if rpc.policy.access != policy_pb2.ACCESS_ANYONE else "IF_ANY" if rpc.reads else "NEVER"
        items = _items(rpc)
        more = {
            "reads": rpc.reads,
            "keyed": rpc.policy.idempotency_key,
            **({"streams": True} if rpc.streams else {}),
            **({"timeout_s": rpc.policy.timeout_ms / 1000} if rpc.policy.timeout_ms > USUAL_TIMEOUT_MS else {}),
            **({"items": items.name} if items else {}),
        }
        arguments = [repr(rpc.path), type_name(request), type_name(response), f"Credentials.{credentials}"]
        arguments += [f"{name}={value!r}" for name, value in more.items()]
        lines.append(f"{_constant(rpc)} = Method({', '.join(arguments)})")
    doc = '"""Every RPC, generated from protos/; never edited."""'
    head = [doc, "", *_imports(modules), "from mercato._core import Credentials, Method", ""]
    return "\n".join([*head, *lines]) + "\n"


def _services(twin: Twin) -> str:
    modules = {module for rpc in rpcs() for module in _used(rpc)}
    by_service = {service.full_name: [rpc for rpc in rpcs() if rpc.service == service.full_name] for service in services()}
    if unnamed := {name.rpartition(".")[2] for name in by_service} - ATTRIBUTES.keys():
        raise ValueError(f"these services have no attribute of a client: {unnamed}")
    head = [
        f'"""{twin.doc} Generated from protos/; never edited."""',
        "",
        "from __future__ import annotations",
        "",
        f"from collections.abc import {'AsyncIterable, ' if twin.module == 'aio' else ''}Iterable, Mapping",
        "",
        *_imports(modules),
        "",
        f"from mercato._{twin.module} import Calls, {twin.pager}",
        "from mercato._core import Answer, Metadata, Options, request_of",
        "from mercato._services import methods",
        "",
    ]
    classes = [text for name, found in by_service.items() for text in (_service(twin, name, found), _answers(twin, name, found))]
    text = "\n".join([*head, *classes, _whole("Services", "Service"), _whole("Answers", "Answers")])
    return text if "Mapping[" in text else text.replace("Iterable, Mapping", "Iterable")


def _whole(name: str, suffix: str) -> str:
    doc = "Every service of a shop." if suffix == "Service" else "Every service of a shop; its methods return an `Answer`."
    lines = [f"class {name}:", f'    """{doc}"""', "", "    def __init__(self, calls: Calls) -> None:"]
    for service, attribute in ATTRIBUTES.items():
        kind = service.removesuffix("Service") + suffix
        lines += [f"        self.{attribute} = {kind}(calls)"]
    return "\n".join(lines) + "\n"


def _class(name: str, doc: str) -> list[str]:
    return [f"class {name}:", doc, "", "    def __init__(self, calls: Calls) -> None:", "        self._calls = calls", ""]


def _service(twin: Twin, full_name: str, found: list[Rpc]) -> str:
    lines = _class(full_name.rpartition(".")[2], _docstring(comments()[full_name], {}, 4))
    for rpc in found:
        response, items = type_name(rpc.response_type.DESCRIPTOR), _items(rpc)
        fields = {} if rpc.streams else {name: comments()[f"{rpc.request_type.DESCRIPTOR.full_name}.{name}"] for name in _fields(rpc)}
        doc = _docstring(comments()[f"{full_name}.{rpc.name}"], fields, 8)
        if items is None:
            lines += [_signature(twin.define, twin, rpc, response), doc]
            lines += [f"        return {twin.wait}self._calls.message(methods.{_constant(rpc)}, {_sent(rpc)}, {_options(rpc)})"]
        else:
            lines += [_signature("def", twin, rpc, f"{twin.pager}[{response}, {single(items)}]"), doc]
            lines += [f"        return {twin.pager}(self._calls, methods.{_constant(rpc)}, {_sent(rpc)}, {_options(rpc)})"]
        lines += [""]
    return "\n".join(lines)


def _answers(twin: Twin, full_name: str, found: list[Rpc]) -> str:
    service = full_name.rpartition(".")[2]
    kind = service.removesuffix("Service")
    lines = _class(f"{kind}Answers", f'    """{service}, whose methods return an `Answer`; those of lists return one page."""')
    for rpc in found:
        lines += [
            _signature(twin.define, twin, rpc, f"Answer[{type_name(rpc.response_type.DESCRIPTOR)}]"),
            f'        """As `{service}.{_snake(rpc.name)}`, with the request id, and whether the answer was replayed."""',
            f"        return {twin.wait}self._calls.answer(methods.{_constant(rpc)}, {_sent(rpc)}, {_options(rpc)})",
            "",
        ]
    return "\n".join(lines)


def _fields(rpc: Rpc) -> Mapping[str, Any]:
    fields: dict[str, Any] = {str(field.name): field for field in rpc.request_type.DESCRIPTOR.fields}
    if taken := fields.keys() & RESERVED:
        raise ValueError(f"{rpc.path} has fields named as keywords of every method: {taken}")
    return fields


def _has_if_match(rpc: Rpc) -> bool:
    """Return whether the etag goes beside the request, because it has no field of its own for one."""
    return rpc.takes_etag and "etag" not in rpc.request_type.DESCRIPTOR.fields_by_name


def _signature(define: str, twin: Twin, rpc: Rpc, returns: str) -> str:
    request = type_name(rpc.request_type.DESCRIPTOR)
    if rpc.streams:
        arguments = ["self", f"requests: {twin.requests.format(request)}", "/", "*"]
    else:
        arguments = ["self", f"request: {request} | None = None", "/", "*"]
        arguments += [f"{name}: {_annotation(field)} | None = None" for name, field in _fields(rpc).items()]
    arguments += ["timeout: float | None = None", "metadata: Metadata = ()"]
    arguments += ["idempotency_key: str | None = None"] if rpc.policy.idempotency_key else []
    arguments += ["etag: str | None = None"] if _has_if_match(rpc) else []
    return f"    {define} {_snake(rpc.name)}({', '.join(arguments)}) -> {returns}:"


def _sent(rpc: Rpc) -> str:
    if rpc.streams:
        return "requests"
    fields = ", ".join(f'"{name}": {name}' for name in _fields(rpc))
    return f"request_of(methods.{_constant(rpc)}, request, {{{fields}}})"


def _options(rpc: Rpc) -> str:
    key = ["idempotency_key"] if rpc.policy.idempotency_key else []
    etag = ["etag=etag"] if _has_if_match(rpc) else []
    return f"Options({', '.join(['timeout', 'metadata', *key, *etag])})"


@cache
def comments() -> Mapping[str, str]:
    """Return the comments of services, RPCs and fields by full name."""
    with tempfile.NamedTemporaryFile(suffix=".binpb") as descriptors:
        proto.protoc("--include_source_info", f"--descriptor_set_out={descriptors.name}")
        files = FileDescriptorSet.FromString(Path(descriptors.name).read_bytes()).file
    found: dict[str, str] = {}
    for file in files:
        at = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
        for number, service in enumerate(file.service):
            found[f"{file.package}.{service.name}"] = at.get((6, number), "")
            for place, method in enumerate(service.method):
                found[f"{file.package}.{service.name}.{method.name}"] = at.get((6, number, 2, place), "")
        for number, message in enumerate(file.message_type):
            for place, field in enumerate(message.field):
                found[f"{file.package}.{message.name}.{field.name}"] = at.get((4, number, 2, place), "")
    return found


def _docstring(comment: str, fields: Mapping[str, str], indent: int) -> str:
    """Return a docstring: the first sentence, the other paragraphs, and the fields."""
    paragraphs = [" ".join(line.strip() for line in part.splitlines()) for part in comment.strip().split("\n\n")]
    paragraphs = [each for part in paragraphs for each in part.replace(" Errors: ", "\0Errors: ").split("\0")]
    first, stop, rest = paragraphs[0].partition(". ")
    parts = [first + "." if stop else first, *([rest] if stop else []), *paragraphs[1:]]
    wrapped = ["\n".join(textwrap.wrap(part, WIDTH - indent, break_long_words=False, break_on_hyphens=False)) for part in parts]
    if fields:
        texts = (textwrap.wrap(f"{name}: {' '.join(text.split())}", WIDTH - indent - 8) for name, text in fields.items())
        wrapped.append("\n".join(["Args:", *("    " + "\n        ".join(lines) for lines in texts)]))
    text = "\n\n".join(wrapped).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    end = "\n" if len(wrapped) > 1 or "\n" in text else ""
    body = textwrap.indent(f'"""{text}{end}', " " * indent)
    return f'{body}{" " * indent if end else ""}"""'
