"""Strategies that draw requests: messages of a descriptor, mangled bytes, and metadata of a call."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from fuzz.calls import Call
from mercato.v1 import policy_pb2
from mercato_server.composition import SERVICES
from support.shop import PASSWORD

Field = FieldDescriptor
Things = Mapping[str, str]
"""Values that exist in the shop, by name: ids, tokens, addresses."""

DEPTH_MAX = 6
ALL, ALMOST = 8, 7
SHARES = (1, 4, ALMOST)
"""Of eight fields this many are set, besides required ones."""
REQUEST_BYTES = 70_000
"""More than a worker accepts."""

TEXTS = (
    "",
    " ",
    "x",
    "\0",
    "a\0b",
    "Ärger 🛒 ﷽",
    "\u202e\ufeff\U0010ffff",
    "e\u0301" * 200,
    "'; DROP TABLE products; --",
    "%_\\",
    "x" * 200,
    "x" * 201,
    "y" * 501,
    "z" * 10_001,
    "\U0001d53d" * 2_000,
    "w" * REQUEST_BYTES,
    "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b5",
    "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57",
    "0198C5F2-7A3E-7C4D-9B1E-2F6A8D0C4B57",
    "{0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57}",
    "urn:uuid:0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57",
    "0198c5f27a3e7c4d9b1e2f6a8d0c4b57",
    "\u0660198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57",
    "00000000-0000-0000-0000-000000000000",
    "1e400",
    "NaN",
    "*",
)
INT32 = (0, 1, -1, 2, 3, 100, 101, 1000, 1001, 10**9, 2**31 - 1, -(2**31))
INT64 = (*INT32, 10**12, 10**12 + 1, 2**53, 2**63 - 1, -(2**63), 253_402_300_800)
UINT32 = (0, 1, 2**31, 2**32 - 1)
UINT64 = (*UINT32, 2**63, 2**64 - 1)


PLAUSIBLE: Mapping[str, tuple[str, ...]] = {
    "email": ("new@example.com", "NEW@EXAMPLE.COM ", "@", "a@b@c", "ü@exämple.com", "a" * 250 + "@example.com"),
    "password": (PASSWORD, "correct horse battery", "p" * 73, "p\0" * 10, "p" * 1_025, "password"),
    "full_name": ("Jo Doe",),
    "country_code": ("DE", "us", "GH", "CN", "ZZ", "\ufb01", "DEU"),
    "recipient": ("Jo Doe",),
    "street_lines": ("Torstr. 1", "\u3164"),
    "city": ("Berlin",),
    "region": ("", "CA", "california", "no such", "r" * 61),
    "postal_code": ("10119", "sw1a1aa", "94111-1234", "\u0661" * 5, "-" * 20),
    "phone": ("030 901820", "+14155552671", "+" * 30, "tel:1;ext=2"),
    "name": ("Ball", "Bike"),
    "description": ("Round",),
    "sku": ("", "A-1", "B-2", "s" * 64, "s" * 65),
    "q": ("ball", "bal & !(", "ball | :*", '"ball', "-ball or"),
    "prefix": ("VIP-", "a b", "x" * 13),
    "order_by": ("price", "name desc", "create_time desc", "price,name", "stock"),
    "currency_code": ("USD", "EUR", "usd"),
    "tax_category_id": ("books", "papers", "as-goods", "Books"),
    "time_zone": ("Europe/Berlin", "UTC", "Mars"),
    "tax_number": ("DE136695976", "X-1", "", "DE1"),
    "tracking_url": ("https://example.com/track/1", "http://[", "ftp://example.com"),
    "image_urls": ("https://example.com/ball.png", "http://[", "javascript:1", "https://ex\0ample.com"),
    "content_type": (
        "application/json",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json; charset=x",
    ),
    "paths": ("name", "price", "price.minor_units", "stock", "*", "id", "no_such"),
    "postal_prefix": ("SW1 ", "94", "sw1a1", "\uff11", "-"),
    "tax_category": ("", "as-goods", "books", "Books"),
}
"""Values for a field with this name, or with a name that ends in it; the first is valid."""

FORMS = (
    b"username=a%40example.com&password=securepass123",
    b"username=%ff&password=%00",
    b"username=a&username=b&password=c",
    b"&" * 2_000,
    json.dumps({"email": "a@example.com", "password": PASSWORD}).encode(),
    b'{"email": "\\ud800", "password": "\\ud800"}',
    b'{"email": 1, "password": []}',
    b'{"email":' * 2_000,
    b"[" * 20_000,
    b"1" * 5_000,
    b"null",
    b"\xff\xfe",
)

HOSTILE_BYTES = (
    b"",
    b"\0",
    b"\x00\x01",  # field number 0
    b"\x0e",  # a wire type that does not exist
    b"\x0b" * 150,  # groups that never end
    b"\x0c",  # the end of a group that never began
    b"\x0b\x0c" * 1_000,
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xff" * 30,
    b"\x0a\x02\xc3\x28",  # not UTF-8
    b"\x0a\x03\xed\xa0\x80",  # a surrogate
    b"\x0a\x01",
    b"\x08" + b"\xff" * 9 + b"\x01",
    b"\x0a" + b"\xf0\xa2\x04" + b"x" * REQUEST_BYTES,
    b"\xfa\xff\xff\xff\x0f\x01x",
)

ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
UNICODE = st.characters(codec="utf-8")
PRINTABLE = st.text(ASCII, max_size=40)
"""Text that gRPC allows as metadata."""
ADDITIONS = st.one_of(
    st.tuples(
        st.just("idempotency-key"), st.sampled_from(("k1", "k1", "k2", "k3", "", " ", "a b", "x" * 255, "x" * 256, "é".encode().hex()))
    ),
    st.tuples(st.just("idempotency-key"), PRINTABLE),
    st.tuples(
        st.just("authorization"),
        st.sampled_from(("", "Bearer", "Bearer ", "Bearer x.y.z", "bearer eyJhbGciOiJub25lIn0.e30.", "Basic YTpi")),
    ),
    st.tuples(st.just("authorization"), PRINTABLE),
    st.tuples(st.just("x-client-address"), st.sampled_from(("", "::1", "192.0.2.7", "fe80::1%eth0", "not an address", "a" * 400))),
    st.tuples(st.sampled_from(("x-request-id", "x-user-agent", "if-none-match", "x-http-code", "content-encoding")), PRINTABLE),
    st.tuples(st.just("if-none-match"), st.sampled_from(("*", 'W/"', '"a", "b"', ",,,"))),
    st.tuples(st.just("x-request-id"), st.just("r" * 5_000)),
    st.tuples(st.just("fuzz-bin"), st.binary(max_size=40)),
    st.tuples(st.just("idempotency-key-bin"), st.binary(max_size=40)),
)
METADATA = st.just(()) | st.lists(ADDITIONS, max_size=3).map(tuple)
TIMEOUTS = st.sampled_from((None,) * 12 + (0.001, 0.02, 1.0, 31.0, 1e6, 1e9))
WHO = ("buyer", "admin", "nobody")
METHODS = {method.full_name: method for service in SERVICES for method in service.methods}


def calls(rpc: str, things: Things, *, raw: bool) -> st.SearchStrategy[Call]:
    """Draw calls of an RPC; raw calls have bytes that may not be a message of its type.

    `things` is read when a value is drawn, so its values may change meanwhile; its names must not.
    """
    method = METHODS[rpc]
    admins_only = method.GetOptions().Extensions[policy_pb2.policy].access == policy_pb2.ACCESS_ADMIN
    who = st.sampled_from(WHO + ("admin",) * 5 if admins_only else WHO)
    message = Messages(things, sane=True).of(method.input_type) | Messages(things, sane=False).of(method.input_type)
    request = message.map(lambda message: message.SerializePartialToString(deterministic=True))
    return st.builds(Call, st.just(rpc), who, mangled(request) if raw else request, METADATA, TIMEOUTS)


@dataclass(frozen=True)
class Messages:
    """Draws messages with values that exist in the shop, and with any other values unless they must be sane."""

    things: Things
    sane: bool

    def of(self, descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
        """Draw messages of a type."""
        values = {field.name: self._field(field, depth) for field in descriptor.fields} if depth < DEPTH_MAX else {}
        groups = [[field.name for field in oneof.fields] for oneof in descriptor.oneofs]
        alone = [field for field in descriptor.fields if field.containing_oneof is None]
        build = GetMessageClass(descriptor)

        @st.composite
        def message(draw: st.DrawFn) -> Message:
            share = draw(st.sampled_from(SHARES))
            chosen = [name for group in groups if (name := draw(st.sampled_from([*group, None])))]
            for field in alone:
                behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
                likely = ALMOST if field_behavior_pb2.REQUIRED in behaviors else share
                never = self.sane and field_behavior_pb2.OUTPUT_ONLY in behaviors
                if draw(st.integers(1, ALL)) <= likely and not never:
                    chosen.append(field.name)
            return build(**{name: draw(values[name]) for name in chosen if name in values})

        return message()

    def _field(self, field: Field, depth: int) -> st.SearchStrategy[Any]:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            return st.dictionaries(self._value(key, depth), self._value(value, depth), max_size=3)
        one = self._value(field, depth)
        if not field.is_repeated:
            return one
        several = st.lists(one, max_size=3)
        if self.sane:
            return several
        return several | st.builds(lambda item, times: [item] * times, one, st.sampled_from((20, 21, 100, 101, 200)))

    def _value(self, field: Field, depth: int) -> st.SearchStrategy[Any]:
        if field.message_type is not None:
            return self.of(field.message_type, depth + 1)
        if field.type == Field.TYPE_STRING:
            return self.texts(field.name)
        if field.type == Field.TYPE_BYTES:
            return st.sampled_from(FORMS) | st.binary(max_size=50)
        if field.enum_type is not None:
            known = st.sampled_from([value.number for value in field.enum_type.values])
            return known if self.sane else known | st.sampled_from((-1, 99, 2**31 - 1, -(2**31)))
        return (SMALL if self.sane else NUMBERS)[field.cpp_type]

    def texts(self, name: str) -> st.SearchStrategy[str]:
        """Draw a text for a field: an existing value of that name, a plausible value, or any text."""
        named = [thing for thing in self.things if fits(name, thing.split(" ")[-1])]
        plausible = [text for known, values in PLAUSIBLE.items() if fits(name, known) for text in values[: 1 if self.sane else None]]
        choices = [real(named, self.things)] if named else []
        choices += [st.sampled_from(plausible)] if plausible else []
        if self.sane:
            return st.one_of(choices) if choices else st.text(ASCII, max_size=5)
        return st.one_of(*choices, st.sampled_from(TEXTS), st.text(UNICODE, max_size=20), real(list(self.things), self.things))


NUMBERS: Mapping[int, st.SearchStrategy[Any]] = {
    Field.CPPTYPE_BOOL: st.booleans(),
    Field.CPPTYPE_INT32: st.sampled_from(INT32) | st.integers(-(2**31), 2**31 - 1),
    Field.CPPTYPE_INT64: st.sampled_from(INT64) | st.integers(-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT32: st.sampled_from(UINT32) | st.integers(0, 2**32 - 1),
    Field.CPPTYPE_UINT64: st.sampled_from(UINT64) | st.integers(0, 2**64 - 1),
    Field.CPPTYPE_FLOAT: st.floats(width=32),
    Field.CPPTYPE_DOUBLE: st.floats(),
}
INTEGERS = (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64, Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64)
SMALL = {**NUMBERS, **dict.fromkeys(INTEGERS, st.integers(0, 5))}


def real(names: Sequence[str], things: Things) -> st.SearchStrategy[str]:
    """Draw the current value of one of the named things."""
    return st.sampled_from(names).map(lambda name: things[name])


def fits(field: str, name: str) -> bool:
    """Return whether a field takes things of a name: `ids`, `id` and `product_id` for `product_id`, `new_password` for `password`.

    A field that has plausible values of its own, such as `tax_category_id`, takes no things of a shorter name.
    """
    is_of_kind = field.endswith(f"_{name}") and field not in PLAUSIBLE
    return field == name or is_of_kind or (name.endswith("_id") and field in ("id", "ids"))


def mangled(serialized: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Draw serialized messages that were changed, and arbitrary bytes."""
    places = st.integers(0, 2**16)
    depths = st.sampled_from((2, 50, 99, 100, 101, 3_000))
    return st.one_of(
        st.binary(max_size=200),
        st.sampled_from(HOSTILE_BYTES),
        st.builds(lambda whole, at: whole[: at % (len(whole) + 1)], serialized, places),
        st.builds(replaced, serialized, places, st.binary(min_size=1, max_size=1), st.just(1)),
        st.builds(replaced, serialized, places, st.sampled_from(HOSTILE_BYTES) | st.binary(max_size=20), st.just(0)),
        st.builds(bytes.__add__, serialized, serialized),
        st.builds(lambda whole: whole + whole, serialized),
        st.builds(nested, st.integers(1, 15), depths, serialized),
    )


def replaced(whole: bytes, place: int, by: bytes, length: int) -> bytes:
    """Replace `length` bytes from `place` on."""
    at = place % (len(whole) + 1)
    return whole[:at] + by + whole[at + length :]


def nested(number: int, depth: int, inner: bytes) -> bytes:
    """Wrap bytes `depth` times into a field with a number."""
    inner = inner[:100]
    for _ in range(depth):
        inner = bytes([number << 3 | 2]) + _varint(len(inner)) + inner
    return inner


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
