"""Rules that hold for every RPC, message and field of the API."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.api.field_behavior_pb2 import IDENTIFIER, INPUT_ONLY, OPTIONAL, OUTPUT_ONLY, REQUIRED
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from mercato.rpcs import Rpc, rpcs
from mercato.v1 import cart_pb2, order_pb2, policy_pb2

PROMOTION = {
    "name", "kind", "percent_ppm", "amount", "buy_quantity", "get_quantity", "product_ids", "category_ids", "get_product_ids",
    "get_category_ids", "shipping_method_ids", "delivery_max", "min_subtotal", "needs_code", "start_time", "end_time", "usage_limit",
    "per_buyer_limit", "priority", "combinable", "etag",
}  # fmt: skip
# The fields that a client sets in resources that requests hold; the server sets the others.
WRITTEN = {
    "Product": {
        "name", "description", "price", "category_id", "sku", "stock", "image_urls", "etag",
        "tax_category", "needs_delivery", "weight_grams", "slug", "group_id", "options", "description_html",
    },
    "ProductGroup": {"name", "code", "varies_by", "etag", "slug"},
    "ProductOption": {"name", "value"},
    "ProductVariant": set(),
    "Category": {"name", "etag", "parent_id", "slug", "position", "description"},
    "Picture": set(),
    "PictureSize": set(),
    "Address": {"postal_address", "is_default", "etag"},
    "PostalAddress": {
        "country_code", "recipient", "company", "street_lines", "city_area", "city", "region", "postal_code", "sorting_code", "phone",
        "vat_number",
    },
    "ShippingZone": {"name", "areas", "etag"},
    "ShippingArea": {"country_code", "region", "postal_prefix"},
    "ShippingMethod": {"name", "description", "position", "tax_category", "rates", "etag"},
    "ShippingRate": {"shipping_zone_id", "basis", "tiers", "end", "free_from"},
    "ShippingTier": {"start", "price"},
    "Money": {"currency_code", "minor_units"},
    "Promotion": PROMOTION,
    "Shop": {"country_code", "prices_include_tax", "tax_rounding", "time_zone", "etag"},
    "TaxCategory": {"display_name", "etag"},
    "TaxRate": {"country_code", "region", "tax_category", "name", "rate_ppm", "parts", "valid_from", "valid_until", "etag"},
    "TaxRatePart": {"name", "ppm"},
    "RefundLine": {"product_id", "quantity"},
}  # fmt: skip


def reachable(message: Any, found: dict[str, Descriptor]) -> dict[str, Descriptor]:
    """Add a message of ours and those in its fields."""
    if message.full_name.startswith("mercato.v1.") and message.full_name not in found:
        found[message.full_name] = message
        for field in message.fields:
            if field.message_type:
                reachable(field.message_type, found)
    return found


def messages(*, of: str) -> dict[str, Descriptor]:
    """Return the messages of all requests or responses by full name."""
    found: dict[str, Descriptor] = {}
    for rpc in rpcs():
        reachable((rpc.request_type if of == "requests" else rpc.response_type).DESCRIPTOR, found)
    return found


REQUESTS, RESPONSES = messages(of="requests"), messages(of="responses")
for detail in (order_pb2.StockShortage, cart_pb2.QuoteChange):
    RESPONSES = reachable(detail.DESCRIPTOR, RESPONSES)


def fields(found: dict[str, Descriptor]) -> Iterator[FieldDescriptor]:
    return (field for message in found.values() for field in message.fields)


def behaviors(field: FieldDescriptor) -> set[int]:
    return set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def test_every_field_states_its_behavior() -> None:
    allowed: list[set[int]] = [{REQUIRED}, {REQUIRED, INPUT_ONLY}, {OPTIONAL}, {OPTIONAL, INPUT_ONLY}, {OUTPUT_ONLY}, {IDENTIFIER}]
    assert [field.full_name for field in fields(REQUESTS | RESPONSES) if behaviors(field) not in allowed] == []


def test_a_request_has_fields_of_the_client_and_a_response_those_of_the_server() -> None:
    for name, message in (REQUESTS | RESPONSES).items():
        for field in message.fields:
            by_client = field.name in WRITTEN[message.name] if message.name in WRITTEN else name in REQUESTS
            assert (behaviors(field) <= {OUTPUT_ONLY, IDENTIFIER}) != by_client, field.full_name


def test_the_identifier_of_a_resource_is_its_id_and_times_are_the_servers() -> None:
    for field in fields(REQUESTS | RESPONSES):
        assert (IDENTIFIER in behaviors(field)) == (field.name == "id"), field.full_name
        assert field.name not in {"create_time", "update_time", "delete_time", "archive_time"} or behaviors(field) == {OUTPUT_ONLY}


def test_passwords_are_never_in_an_answer() -> None:
    for field in fields(REQUESTS | RESPONSES):
        assert ("password" in field.name) == (INPUT_ONLY in behaviors(field)), field.full_name


def test_every_list_is_paged() -> None:
    lists = [rpc for rpc in rpcs() if rpc.name.startswith("List")]
    assert len(lists) >= 7
    for rpc in lists:
        request, response = rpc.request_type.DESCRIPTOR.fields_by_name, rpc.response_type.DESCRIPTOR.fields
        assert {"page_size", "page_token"} <= set(request), rpc.name
        assert (response[0].is_repeated, response[1].name) == (True, "next_page_token"), rpc.name


def test_every_update_of_a_resource_takes_a_mask() -> None:
    assert all("update_mask" in rpc.request_type.DESCRIPTOR.fields_by_name for rpc in rpcs() if rpc.name.startswith("Update"))


def test_every_rpc_has_a_scope_of_its_effect() -> None:
    for rpc in rpcs():
        noun, _, effect = rpc.policy.scope.partition(".")
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", noun)
        assert effect == ("read" if rpc.reads else "write"), rpc.name


def method(scope: str, *, reads: bool, **policy: Any) -> MethodDescriptor:
    """Return an RPC of a service of its own."""
    options = MethodOptions(idempotency_level=MethodOptions.NO_SIDE_EFFECTS if reads else MethodOptions.IDEMPOTENCY_UNKNOWN)
    options.Extensions[policy_pb2.policy].CopyFrom(policy_pb2.Policy(**{"access": policy_pb2.ACCESS_ANYONE, "scope": scope, **policy}))
    pool = descriptor_pool.DescriptorPool()
    for file in (descriptor_pb2.DESCRIPTOR, policy_pb2.DESCRIPTOR):
        pool.AddSerializedFile(file.serialized_pb)
    made = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", dependency=[policy_pb2.DESCRIPTOR.name])
    made.message_type.add(name="Empty")
    made.service.add(name="Made").method.add(name="Call", input_type=".made.Empty", output_type=".made.Empty", options=options)
    return pool.AddSerializedFile(made.SerializeToString()).services_by_name["Made"].methods[0]


@pytest.mark.parametrize(
    ("scope", "reads"),
    [
        ("", True),
        ("orders", False),
        ("orders.write", True),
        ("orders.read", False),
        ("Orders.read", True),
        ("orders.delete", False),
        (".read", True),
    ],
)
def test_a_worker_does_not_start_with_an_rpc_of_another_scope(scope: str, reads: bool) -> None:  # noqa: FBT001 - a column of the table
    with pytest.raises(ValueError, match="must have a scope"):
        Rpc.of(method(scope, reads=reads))
    assert Rpc.of(method(f"orders.{'read' if reads else 'write'}", reads=reads)).policy.scope


def test_a_worker_does_not_start_with_an_rpc_whose_answer_caches_could_give_to_others() -> None:
    for reads, access in ((False, policy_pb2.ACCESS_ANYONE), (True, policy_pb2.ACCESS_USER), (True, policy_pb2.ACCESS_ADMIN)):
        scope = f"orders.{'read' if reads else 'write'}"
        with pytest.raises(ValueError, match="must be a read for anyone"):
            Rpc.of(method(scope, reads=reads, access=access, shared_max_age_s=1))
        assert not Rpc.of(method(scope, reads=reads, access=access)).policy.shared_max_age_s
    assert Rpc.of(method("orders.read", reads=True, shared_max_age_s=1)).policy.shared_max_age_s


def test_a_worker_does_not_start_with_an_rpc_for_signed_notices_that_needs_a_token_or_has_no_limit() -> None:
    wrong: list[tuple[bool, dict[str, int]]] = [
        (True, {"max_request_bytes": 1}),
        (False, {"max_request_bytes": 1, "access": policy_pb2.ACCESS_USER}),
        (False, {}),
    ]
    for reads, policy in wrong:
        with pytest.raises(ValueError, match="takes signed notices"):
            Rpc.of(method(f"orders.{'read' if reads else 'write'}", reads=reads, signed_notice=True, **policy))
    taken = Rpc.of(method("orders.write", reads=False, signed_notice=True, max_request_bytes=1))
    assert not taken.takes_credentials
    assert Rpc.of(method("orders.write", reads=False)).takes_credentials
