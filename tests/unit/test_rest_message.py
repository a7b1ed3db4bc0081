"""Messages from JSON bodies and query parameters, for fields of every kind."""

import json
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    json_format,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mercato.v1 import catalog_pb2, order_pb2
from mercato_server.domain.errors import InvalidRequest, MalformedRequest
from mercato_server.validation.rest_message import VIOLATIONS_MAX, RestMessage
from mercato_server.validation.strict_json import parse

Kind = FieldDescriptorProto
SCALARS = {
    "text": Kind.TYPE_STRING,
    "raw": Kind.TYPE_BYTES,
    "yes": Kind.TYPE_BOOL,
    "small": Kind.TYPE_INT32,
    "large": Kind.TYPE_INT64,
    "count": Kind.TYPE_UINT32,
    "total": Kind.TYPE_UINT64,
    "share": Kind.TYPE_DOUBLE,
}
WELL_KNOWN: dict[str, type[Message]] = {
    "at": timestamp_pb2.Timestamp,
    "lasts": duration_pb2.Duration,
    "mask": field_mask_pb2.FieldMask,
    "anything": any_pb2.Any,
    "open": struct_pb2.Struct,
    "maybe": wrappers_pb2.StringValue,
}


def every_kind() -> Descriptor:
    """Return a message with a field of each kind, once and repeated, itself and a map among them."""
    file = FileDescriptorProto(name="tests/every.proto", package="tests", syntax="proto3")
    message = file.message_type.add(name="Every")
    for number, (name, kind) in enumerate(SCALARS.items(), 1):
        message.field.add(name=name, number=number, type=kind, label=Kind.LABEL_OPTIONAL)
        message.field.add(name=f"many_{name}", number=number + 20, type=kind, label=Kind.LABEL_REPEATED)
    for number, (name, known) in enumerate(WELL_KNOWN.items(), 50):
        described = known.DESCRIPTOR
        file.dependency.append(described.file.name)
        type_name = f".{described.full_name}"
        message.field.add(name=name, number=number, type=Kind.TYPE_MESSAGE, type_name=type_name, label=Kind.LABEL_OPTIONAL)
    message.field.add(name="inner_part", number=60, type=Kind.TYPE_MESSAGE, type_name=".tests.Every", label=Kind.LABEL_OPTIONAL)
    message.field.add(name="parts", number=61, type=Kind.TYPE_MESSAGE, type_name=".tests.Every", label=Kind.LABEL_REPEATED)
    entry = DescriptorProto(name="LabelsEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=Kind.TYPE_STRING, label=Kind.LABEL_OPTIONAL)
    message.nested_type.append(entry)
    message.field.add(name="labels", number=62, type=Kind.TYPE_MESSAGE, type_name=".tests.Every.LabelsEntry", label=Kind.LABEL_REPEATED)
    file.dependency[:] = sorted(set(file.dependency))
    pool = descriptor_pool.DescriptorPool()
    for dependency in [known.DESCRIPTOR.file for known in WELL_KNOWN.values()]:
        copied = FileDescriptorProto()
        dependency.CopyToProto(copied)
        pool.Add(copied)
    pool.Add(file)
    found: Descriptor = pool.FindMessageTypeByName("tests.Every")
    return found


EVERY = GetMessageClass(every_kind())
VALID = [
    {"text": "Ärger 🛒", "many_text": ["", "a"], "raw": "AP8=", "many_raw": ["_w"], "yes": True, "many_yes": [False]},
    {"small": -(2**31), "large": str(2**63 - 1), "count": 2**32 - 1, "total": str(2**64 - 1), "share": 0.5},
    {"small": "7", "large": 7, "many_large": ["1", 2], "share": 1e300},
    {"at": "2026-01-31T12:00:00.5Z", "lasts": "1.5s", "open": {"a": [1, None, {"b": "c"}]}, "maybe": "x"},
    {"anything": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}},
    {"labels": {"a": "1", "b": "2"}},
    {"inner_part": {"inner_part": {"text": "x"}}, "parts": [{}, {"parts": [{"small": 1}]}]},
    {"inner_part": {}},
    {"text": None, "many_text": None, "inner_part": None},
]


def filled(message: Message, value: Any, query: str = "") -> Message:
    rest = RestMessage(message)
    rest.add_object(value, message)
    rest.add_query(query)
    return rest.checked()


def refused(value: Any, query: str = "", message: Message | None = None) -> dict[str, str]:
    """Return the violations of a request that must have some, by field."""
    with pytest.raises(InvalidRequest) as raised:
        filled(EVERY() if message is None else message, value, query)
    return {violation.field: violation.description for violation in raised.value.violations}


@pytest.mark.parametrize("value", VALID, ids=",".join)
def test_a_body_is_read_as_protobuf_reads_it(value: dict[str, Any]) -> None:
    parsed = parse(json.dumps(value).encode())
    assert filled(EVERY(), parsed) == json_format.ParseDict(value, EVERY())


@pytest.mark.parametrize("value", VALID, ids=",".join)
def test_a_body_may_have_the_names_of_lower_camel_case(value: dict[str, Any]) -> None:
    message = json_format.ParseDict(value, EVERY())
    assert filled(EVERY(), json_format.MessageToDict(message)) == message


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"text": 1}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"many_text": "a"}, "many_text"),
        ({"many_text": ["a", None]}, "many_text[1]"),
        ({"raw": "*"}, "raw"),
        ({"raw": 1}, "raw"),
        ({"yes": "true"}, "yes"),
        ({"yes": 1}, "yes"),
        ({"small": 2**31}, "small"),
        ({"small": True}, "small"),
        ({"small": 1.5}, "small"),
        ({"small": " 1"}, "small"),
        ({"small": "1e3"}, "small"),
        ({"small": []}, "small"),
        ({"large": "9223372036854775808"}, "large"),
        ({"large": "9" * 400}, "large"),
        ({"count": -1}, "count"),
        ({"share": "much"}, "share"),
        ({"at": "yesterday"}, "at"),
        ({"at": 5}, "at"),
        ({"at": "2026-02-30T00:00:00Z"}, "at"),
        ({"lasts": "soon"}, "lasts"),
        ({"mask": 5}, "mask"),
        ({"anything": {"@type": "type.googleapis.com/no.such"}}, "anything"),
        ({"anything": {}, "open": []}, "open"),
        ({"labels": {"a": 1}}, "labels"),
        ({"inner_part": []}, "inner_part"),
        ({"inner_part": {"inner_part": "x"}}, "inner_part.inner_part"),
        ({"parts": {}}, "parts"),
        ({"parts": [{}, 1]}, "parts[1]"),
        ({"innerPart": {"parts": [{}, {"manySmall": [1, "x"]}]}}, "inner_part.parts[1].many_small[1]"),
        ({"Text": "x"}, "Text"),
        ({"": 1}, ""),
        ({"parts": [{}, {"inner_part": {"foo": 1}}]}, "parts[1].inner_part.foo"),
        ({"foo\ud800": None}, "foo?"),
    ],
)
def test_a_value_of_another_kind_and_an_unknown_field_are_named_with_their_path(value: Any, field: str) -> None:
    found = refused(value)
    assert list(found) == [field]
    assert found[field]


def test_all_faults_are_reported_at_once_and_no_more_than_fit_into_an_error() -> None:
    assert list(refused({"foo": 1, "small": "x", "parts": [{"bar": 1}]}, "baz=1&yes=x")) == ["foo", "small", "parts[0].bar", "baz", "yes"]
    assert len(refused({f"x{number}": 1 for number in range(10_000)})) == VIOLATIONS_MAX
    [(name, _)] = refused({"x" * 100_000: 1}).items()
    assert len(name) < 200


def test_a_name_may_be_there_once() -> None:
    assert list(refused(parse(b'{"text":"a","small":1,"text":"a"}'))) == ["text"]
    assert list(refused(parse(b'{"parts":[{"yes":true,"yes":false}]}'))) == ["parts[0].yes"]
    assert list(refused({"inner_part": {}, "innerPart": {}})) == ["inner_part"]
    assert list(refused({"text": "a"}, "text=a")) == ["text"]
    assert list(refused({"many_text": ["a"]}, "many_text=b")) == ["many_text"]
    assert list(refused({}, "small=1&small=1")) == ["small"]
    assert list(refused({"inner_part": {"small": 1}}, "innerPart.small=2")) == ["inner_part.small"]
    assert len(refused(parse(b'{"a":1,' * 1 + b",".join(b'"x%d":1,"x%d":1' % (n, n) for n in range(5_000)) + b"}"))) == VIOLATIONS_MAX


def test_a_group_has_one_field() -> None:
    request = {"delta": 1, "compare_and_set": {"expected_stock": 1, "stock": 2}}
    assert list(refused(request, message=catalog_pb2.AdjustStockRequest())) == ["compare_and_set"]
    for query in ("delta=1&compare_and_set.stock=2", "compare_and_set.stock=2&compare_and_set.expected_stock=1&delta=1"):
        assert list(refused({}, query, catalog_pb2.AdjustStockRequest())) == [query.rpartition("&")[2].partition("=")[0].partition(".")[0]]
    query = "compare_and_set.stock=2&compare_and_set.expected_stock=1"
    change = catalog_pb2.AdjustStockRequest.CompareAndSet(expected_stock=1, stock=2)
    assert filled(catalog_pb2.AdjustStockRequest(), {}, query) == catalog_pb2.AdjustStockRequest(compare_and_set=change)


def test_a_field_of_the_path_may_be_repeated_but_not_changed() -> None:
    request = catalog_pb2.UpdateProductRequest(product=catalog_pb2.Product(id="a"))
    for value, found in (({"id": "a"}, []), ({"id": "b"}, ["product.id"]), ({"id": 5}, ["product.id"])):
        rest = RestMessage(request)
        rest.add_object(value, request.product, "product.")
        if found:
            with pytest.raises(InvalidRequest) as raised:
                rest.checked()
            assert [violation.field for violation in raised.value.violations] == found
        else:
            assert rest.checked() == request
    assert list(refused({}, "product.id=b", request)) == ["product.id"]


def test_a_query_that_an_older_edge_has_read_already_changes_nothing() -> None:
    query = "update_mask=*&product.name=x"
    message = catalog_pb2.UpdateProductRequest(product=catalog_pb2.Product(name="x"), update_mask=field_mask_pb2.FieldMask(paths=["*"]))
    assert filled(catalog_pb2.UpdateProductRequest(), {}, query) == message
    assert filled(message, {}, query) == catalog_pb2.UpdateProductRequest(product=message.product, update_mask=message.update_mask)
    batch = catalog_pb2.BatchGetProductsRequest(ids=["a", "b"])
    assert filled(batch, {}, "ids=a&ids=b").ids == ["a", "b"]  # type: ignore[attr-defined] # a BatchGetProductsRequest


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {}),
        ("&&", {}),
        ("text=a+b%2B&many_text=x&manyText=y", {"text": "a b+", "many_text": ["x", "y"]}),
        ("small=&text=&many_text=&yes=&at=&inner_part.text=", {}),
        ("yes=true", {"yes": True}),
        ("yes=FALSE", {"yes": False}),
        ("yes=1", {"yes": True}),
        ("small=-5&large=9223372036854775807&share=.5", {"small": -5, "large": 2**63 - 1, "share": 0.5}),
        ("inner_part.inner_part.text=x", {"inner_part": {"inner_part": {"text": "x"}}}),
        ("at=2026-01-31T12:00:00Z&lasts=2s", {"at": "2026-01-31T12:00:00Z", "lasts": "2s"}),
        ("mask=text,many_text", {"mask": "text,manyText"}),
        ("mask=innerPart", {"mask": "innerPart"}),
        ("mask.paths=a&mask.paths=b_c", {"mask": "a,bC"}),
        ("text=%zz", {"text": "%zz"}),
    ],
)
def test_query_parameters_are_fields_and_an_empty_one_is_absent(query: str, found: dict[str, Any]) -> None:
    assert filled(EVERY(), {}, query) == json_format.ParseDict(found, EVERY())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("colour=red", "colour"),
        ("colour=", "colour"),
        ("=1", ""),
        ("small=abc", "small"),
        ("small=1.5", "small"),
        ("small=2147483648", "small"),
        ("yes=maybe", "yes"),
        ("text=%ff", "text"),
        ("%ff=1", "%ff"),
        ("at=now", "at"),
        ("inner_part=1", "inner_part"),
        ("inner_part.foo=1", "inner_part.foo"),
        ("text.x=1", "text.x"),
        ("parts.text=1", "parts.text"),
        ("many_small=1&many_small=x", "many_small"),
    ],
)
def test_a_wrong_query_parameter_is_named(query: str, field: str) -> None:
    assert list(refused({}, query)) == [field]


def test_an_enum_is_taken_by_name_in_any_case_and_by_number() -> None:
    given: Any
    for given in ("ORDER_STATUS_PAID", "order_status_paid", 2, "2"):
        assert filled(order_pb2.ListOrdersRequest(), {"status": given}) == order_pb2.ListOrdersRequest(status=order_pb2.ORDER_STATUS_PAID)
    for given in ("LOST", "", 2**31, 1.5, True):
        [description] = refused({"status": given}, message=order_pb2.ListOrdersRequest()).values()
        assert "ORDER_STATUS_PAID" in description


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "line 1, column 1"),
        (b"{nope", "line 1, column 2"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
        (b"{}{}", "line 1, column 3"),
        (b"\xef\xbb\xbf{nope", "line 1, column 2"),
        (b'{"a": "\xff"}', "byte 7"),
        (b'{"a": "\xc0\xaf"}', "byte 7"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": %s}' % (b"1" * 5_000), "digits"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        ("{}".encode("utf-16"), "byte 0"),
    ],
)
def test_a_body_that_is_no_json_is_refused_with_its_place(body: bytes, place: str) -> None:
    with pytest.raises(MalformedRequest, match=place) as raised:
        parse(body)
    assert raised.value.reason == "MALFORMED_REQUEST"


def test_a_byte_order_mark_is_dropped() -> None:
    assert parse(b'\xef\xbb\xbf {"a": "\\u00e9"} ') == {"a": "é"}
