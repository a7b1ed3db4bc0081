"""REST bodies of any message are read as they are, and an unknown field anywhere in them is refused with its path."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import strategies as st

from fuzz.conftest import Fuzz
from fuzz.strategies import Messages
from mercato.rpcs import Rpc, rpcs
from mercato_server.domain.errors import InvalidRequest
from mercato_server.rpc.rest import BODY_FIELD, reader

THINGS: Mapping[str, str] = {"product_id": "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57", "email": "a@example.com"}
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2))
BODIES = [rpc for rpc in rpcs() if rpc.bindings and rpc.bindings[0].body not in ("", "form", "event") and not rpc.streams]
"""The RPCs that read a JSON body; the body of a login is a form, too, and those of a signed notice and of an upload are kept as they came."""


def sent(rpc: Rpc, body: Any) -> Message:
    """Return the message that a worker reads from a body, as the edge passes it on."""
    content = HttpBody(content_type="application/json", data=json.dumps(body).encode()).SerializeToString()
    return reader(rpc)(varint(BODY_FIELD << 3 | 2) + varint(len(content)) + content, "/path")


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def part(rpc: Rpc, message: Message) -> Message:
    """Return the part of a request that its body holds."""
    name = rpc.bindings[0].body
    found: Message = message if name == "*" else getattr(message, name)
    return found


def objects(value: Any, descriptor: Any, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield all objects of a body that are messages of our own, with their paths."""
    yield value, path
    for field in descriptor.fields:
        if field.message_type is None or field.message_type.full_name.startswith("google.") or field.name not in value:
            continue
        item = value[field.name]
        for index, each in enumerate(item) if isinstance(item, list) else [(None, item)]:
            place = f"{path}{field.name}." if index is None else f"{path}{field.name}[{index}]."
            yield from objects(each, field.message_type, place)


def test_every_body_is_read_and_an_unknown_field_at_any_depth_is_named(fuzz: Fuzz) -> None:
    for rpc in BODIES:
        name = rpc.bindings[0].body
        prefix = "" if name == "*" else f"{name}."

        def judge(drawn: tuple[Message, bool, int, str, Any], rpc: Rpc = rpc, prefix: str = prefix) -> None:
            message, camel, place, unknown, value = drawn
            try:
                body = json_format.MessageToDict(part(rpc, message), preserving_proto_field_name=True)
                spelled = json_format.MessageToDict(part(rpc, message)) if camel else body
            except json_format.Error:  # a time that JSON cannot express
                return
            assert part(rpc, sent(rpc, spelled)) == part(rpc, message)
            places = list(objects(body, part(rpc, message).DESCRIPTOR, prefix))
            target, path = places[place % len(places)]
            target[unknown] = value
            with pytest.raises(InvalidRequest) as raised:
                sent(rpc, body)
            assert [violation.field for violation in raised.value.violations] == [f"{path}{unknown}"]
            fuzz.count(f"{rpc.service}.{rpc.name}", "INVALID_ARGUMENT")

        request: Any = rpc.request_type.DESCRIPTOR
        messages = Messages(THINGS, sane=True).of(request) | Messages(THINGS, sane=False).of(request)
        names = st.sampled_from(("no_such", "Name", "@type", "", "__proto__", "id ")) | st.text(max_size=5).map("x{}".format)
        drawn = st.tuples(messages, st.booleans(), st.integers(0, 50), names, JSON)
        fuzz.draw(f"body of {rpc.path}", drawn, judge, quick=5, full=600)
