"""Requests of REST clients, as the edge passes them on to a worker."""

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from mercato.rpcs import rpcs
from mercato.v1 import auth_pb2, cart_pb2, order_pb2
from mercato_server.domain.errors import InvalidRequest
from mercato_server.rpc.rest import reader

RPCS = {rpc.name: rpc for rpc in rpcs()}
TAG, VARINT = b"\xfa\xff\xff\xff\x0f", b"\xf8\xff\xff\xff\x0f\x01"
"""Field 2 ** 29 - 1, with a length and as the number 1."""


def wire(body: bytes, before: Message) -> bytes:
    """Return the request of the edge: the message of the path, and the body in two parts."""
    content: bytes = HttpBody(content_type="application/json", data=body).SerializeToString()
    return TAG + b"\0" + before.SerializeToString() + TAG + bytes([len(content)]) + content


def test_body_query_and_path_become_one_message() -> None:
    read = reader(RPCS["AddCartItem"])
    path = cart_pb2.AddCartItemRequest(product_id="a")
    wanted = cart_pb2.AddCartItemRequest(product_id="a", quantity=2)
    assert read(wire(b'{"quantity": 2}', path), "/cart/add/a") == wanted
    assert read(wire(b"", path), "/cart/add/a?quantity=2") == wanted
    assert read(wanted.SerializeToString(), None) == wanted
    assert read(wire(b'{"quantity": 2}', path), "/cart/add/a").SerializeToString() == wanted.SerializeToString()


def test_a_request_that_an_older_edge_has_transcoded_is_read_as_it_is() -> None:
    checkout = order_pb2.CheckoutRequest(cart_etag="x", validate_only=True)
    assert reader(RPCS["Checkout"])(checkout.SerializeToString(), "/orders/checkout?validate_only=true") == checkout
    login = auth_pb2.LoginFormRequest(form=HttpBody(content_type="application/json", data=b"{}"))
    assert reader(RPCS["LoginForm"])(login.SerializeToString(), "/login") == login


def test_fields_of_a_later_release_are_kept_over_grpc() -> None:
    newer = cart_pb2.AddCartItemRequest(product_id="a").SerializeToString() + b"\xa2\x06\x01x"
    assert reader(RPCS["AddCartItem"])(newer, None).SerializeToString() == newer


@pytest.mark.parametrize("name", ["AddCartItem", "Checkout", "LoginForm", "CreateProduct", "ListProducts"])
@pytest.mark.parametrize("request_bytes", [VARINT, TAG + b"\x02\xff\xff", TAG + b"\x01", b"\xff"])
def test_a_call_that_only_claims_to_come_from_the_edge_is_refused(name: str, request_bytes: bytes) -> None:
    with pytest.raises(InvalidRequest):
        reader(RPCS[name])(request_bytes, "/path?page_size=1")
