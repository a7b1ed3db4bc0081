"""The classes of errors of the Python client, one for each reason of the registry."""

import re
import textwrap
from pathlib import Path

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

import python_services
from mercato import _code_errors
from mercato.reasons import REASONS, Reason

ERRORS = Path(__file__).parent.parent / "clients/python/mercato/errors.py"
METADATA = {"ETAG_MISMATCH": {"current_etag": ("etag", "The etag that the resource has now.")}}
"""Values of the metadata of a reason that are properties of its error, by the name of the property."""
BASES = ("google.rpc.BadRequest", "google.rpc.PreconditionFailure", "google.rpc.ResourceInfo", "google.rpc.RetryInfo")
"""Details that the classes by code have as properties."""
WIDTH = 136
HEAD = '''"""The errors of calls: a class for each gRPC code, and below it one for each reason. Generated from protos/; never edited.

An error of a reason that this release does not know is of the class of its code. `mercato.reasons` has what each reason means as data.
"""

from collections.abc import Sequence
from typing import Any

from mercato._call_errors import DOMAIN, CallError, ClientClosed, ConnectionFailed, Failure, status_of, values
from mercato._root_error import MercatoError
from mercato._code_errors import CODES, {codes}
from mercato.sessions import SessionStoreError
from mercato.v1 import {modules}

__all__ = {names}

'''
FOOT = '''

def error_of(failure: Failure) -> CallError:
    """Return the error of a failed call: of the class of its reason, else of its code."""
    error = CallError(failure)
    by_code = CODES.get(failure.code, CallError)
    by_reason = REASONS.get(error.reason, by_code)
    return (by_reason if issubclass(by_reason, by_code) else by_code)(failure)


def call_error(error: Exception) -> CallError:
    """Return the error of a call that a stub of `mercato.v1` has made: of its `grpc.RpcError`, synchronous or not."""
    call: Any = error
    return error_of(Failure(str(call.code().name), call.details() or "", status_of(values(call))))
'''
ALWAYS = (
    "CallError", "ClientClosed", "ConnectionFailed", "DOMAIN", "MercatoError", "SessionStoreError", "Violation", "call_error", "error_of",
)  # fmt: skip


def class_name(name: str) -> str:
    """Return the name of the class of a code or reason: OutOfStock for OUT_OF_STOCK."""
    return "".join(word.capitalize() for word in name.split("_"))


def generated() -> dict[Path, str]:
    """Return the content of each generated file."""
    codes = [class_name(code) for code in _code_errors.CODES]
    if odd := {reason.code for reason in REASONS.values()} - _code_errors.CODES.keys():
        raise ValueError(f"no class for the codes {odd}")
    own = [reason for reason in REASONS.values() if class_name(reason.name) not in codes]
    classes = "\n\n".join(_class(reason) for reason in own)
    modules = sorted(set(re.findall(r"\b\w+_pb2\b", classes)))
    by_reason = {reason.name: class_name(reason.name) for reason in REASONS.values()}
    table = ["REASONS: dict[str, type[CallError]] = {", *(f'    "{name}": {kind},' for name, kind in sorted(by_reason.items())), "}"]
    names = sorted({*ALWAYS, *codes, *by_reason.values()})
    head = HEAD.format(codes=", ".join([*codes, "Violation"]), modules=", ".join(modules), names=names)
    text = "\n".join([head, classes, "", "", *table, '"""The classes by reason."""', FOOT])
    return {ERRORS: python_services.formatted(text, fix="I,RUF022")}


def _class(reason: Reason) -> str:
    lines = [f"class {class_name(reason.name)}({class_name(reason.code)}):", _doc(reason)]
    if reason.detail and reason.detail not in BASES:
        kind = descriptor_pool.Default().FindMessageTypeByName(reason.detail)
        lines += [_property(kind, name) for name in kind.fields_by_name]
    for name, (value, doc) in METADATA.get(reason.name, {}).items():
        lines += [
            "",
            "    @property",
            f"    def {name}(self) -> str:",
            f'        """{doc}"""',
            f'        return self.metadata.get("{value}", "")',
        ]
    return "\n".join(lines)


def _doc(reason: Reason) -> str:
    meaning = _sentences(reason.meaning)
    parts = [meaning[0], *([" ".join(meaning[1:])] if meaning[1:] else []), reason.remedy]
    text = "\n\n".join("\n".join(textwrap.wrap(part, WIDTH - 4, break_on_hyphens=False)) for part in parts)
    return textwrap.indent(f'"""{text}\n', "    ") + '    """'


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", text)


def _property(kind: Descriptor, name: str) -> str:
    field = kind.fields_by_name[name]
    whole, part = python_services.type_name(kind), python_services.single(field)
    returns = f"Sequence[{part}]" if field.is_repeated else f"{part} | None" if field.message_type else part
    absent = "()" if field.is_repeated else "None" if field.message_type else f"{whole}().{name}"
    comment = python_services.comments().get(f"{kind.full_name}.{name}", "")
    doc = textwrap.fill(" ".join(comment.split()) or f"`{name}` of the detail.", WIDTH - 8)
    lines = ["", "    @property", f"    def {name}(self) -> {returns}:"]
    lines += [textwrap.indent(f'"""{doc}"""', " " * 8), f"        found = self.detail({whole})"]
    return "\n".join([*lines, f"        return found.{name} if found is not None else {absent}"])
