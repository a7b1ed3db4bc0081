"""gRPC and gRPC-Web are served on the same port as REST."""

import json
import re
import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mercato.v1 import auth_pb2, auth_pb2_grpc, catalog_pb2, catalog_pb2_grpc, user_pb2
from rest.wire import BIN, frame, frames, grpc_error, rich, run
from support import needs
from support.mercato_up import ORIGIN, PASSWORD, Up
from support.patience import patient
from support.rest_client import HOST, Client

LIST_PRODUCTS = "/mercato.v1.CatalogService/ListProducts"


def test_grpc_is_served_on_the_port_of_rest(channel: grpc.Channel, shop_up: Up) -> None:
    product = shop_up.product()
    catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
    found = catalog.GetProduct(catalog_pb2.GetProductRequest(product_id=product["id"]), timeout=patient())
    assert MessageToDict(found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True) == product
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest(), timeout=patient()).status == health_pb2.HealthCheckResponse.SERVING


def test_a_standard_service_keeps_its_status_and_details(channel: grpc.Channel) -> None:
    request = health_pb2.HealthCheckRequest(service="absent")
    error = grpc_error(channel, "/grpc.health.v1.Health/Check", request.SerializeToString())
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert rich(error)["details"][0]["reason"] == "SERVICE_UNKNOWN"


def test_a_compressed_call_is_understood(channel: grpc.Channel) -> None:
    request = auth_pb2.SignUpRequest(email="nobody", full_name="Jo " * 100)
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    with pytest.raises(grpc.RpcError, match="full_name: must have at most 200 characters"):
        auth.SignUp(request, compression=grpc.Compression.Gzip, timeout=patient())


@pytest.mark.parametrize(("sent", "told"), [(None, None), ("2", "2"), ("-1", None), ("2x", None)])
def test_the_edge_tells_workers_that_grpc_has_sent_a_call_before(anyone: Client, sent: str | None, told: str | None) -> None:
    """A stock client cannot be made to retry an error by chance, so this sends the header of its retries (gRFC A6) itself."""
    absent = catalog_pb2.GetProductRequest(product_id="0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57")
    again = [("grpc-previous-rpc-attempts", sent)] if sent else []
    headers = [("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1"), *again]
    reply = anyone.send("POST", "/mercato.v1.CatalogService/GetProduct", frame(absent.SerializeToString()), headers)
    assert (reply.headers["grpc-status"], reply.headers["previous-attempts"]) == ("5", told)


def test_the_status_meant_for_http_is_not_shown_to_grpc(channel: grpc.Channel) -> None:
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    request = auth_pb2.SignUpRequest(email=f"{uuid.uuid4().hex}@example.com", password=PASSWORD)
    user, call = auth.SignUp.with_call(request, timeout=patient())
    assert user.role == user_pb2.ROLE_USER
    assert "x-http-code" not in dict([*call.initial_metadata(), *call.trailing_metadata()])


@pytest.mark.parametrize(
    ("path", "method", "request_message"),
    [
        pytest.param("/products/1", "CatalogService/GetProduct", catalog_pb2.GetProductRequest(product_id="1"), id="invalid"),
        pytest.param("/me", "UserService/GetMe", user_pb2.GetMeRequest(), id="unauthenticated"),
        pytest.param(
            "/products/0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57",
            "CatalogService/GetProduct",
            catalog_pb2.GetProductRequest(product_id="0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"),
            id="not found",
        ),
    ],
)
def test_an_error_is_the_same_over_rest_and_grpc(
    channel: grpc.Channel, anyone: Client, path: str, method: str, request_message: Any
) -> None:
    error = grpc_error(channel, f"/mercato.v1.{method}", request_message.SerializeToString())
    told = anyone.get(path).json
    assert rich(error) == told
    assert (error.code().value[0], error.details()) == (told["code"], told["message"])


@needs.GRPCURL.unless((BIN / "grpcurl").exists())
def test_grpcurl_needs_no_protos(shop_up: Up) -> None:
    address = f"{HOST}:{shop_up.port}"
    grpcurl = (BIN / "grpcurl", "-plaintext")
    services = run(*grpcurl, address, "list").split()
    assert {f"mercato.v1.{name}Service" for name in ("Audit", "Auth", "Cart", "Catalog", "Order", "Promotion", "User")} <= set(services)
    for symbol in ("mercato.v1.OrderService", "mercato.v1.OrderService.Checkout"):
        assert "rpc Checkout ( .mercato.v1.CheckoutRequest )" in run(*grpcurl, address, "describe", symbol)
    assert "ORDER_STATUS_PAID" in run(*grpcurl, address, "describe", "mercato.v1.OrderStatus.ORDER_STATUS_PAID")
    everything = run(*grpcurl, address, "describe")
    assert all(f"{service} is a service" in everything for service in services)
    buyer = shop_up.buyer()
    header = f"authorization: Bearer {buyer.token}"
    me = json.loads(run(*grpcurl, "-H", header, address, "mercato.v1.UserService/GetMe"))
    assert me["email"] == buyer.email


@pytest.mark.parametrize("reflection", ["grpc-v1", "grpc-v1alpha"])
@pytest.mark.parametrize("protocol", ["grpc", "grpcweb"])
def test_buf_curl_needs_no_protos(shop_up: Up, protocol: str, reflection: str) -> None:
    product = shop_up.product()
    options = ["--protocol", protocol, "--reflect", "--reflect-protocol", reflection]
    options += ["--http2-prior-knowledge"] if protocol == "grpc" else []
    data = json.dumps({"productId": product["id"]})
    answer = run(BIN / "buf", "curl", *options, "--data", data, f"{shop_up.base}/mercato.v1.CatalogService/GetProduct")
    assert json.loads(answer)["name"] == product["name"]


def test_a_grpc_call_without_a_te_header_fails_no_other_call(anyone: Client) -> None:
    """A worker resets such a call, and Envoy must not treat the worker as unhealthy because of it."""
    reply = anyone.send("POST", LIST_PRODUCTS, frame(b""), [("content-type", "application/grpc")])
    assert reply.headers["grpc-status"] != str(grpc.StatusCode.UNAVAILABLE.value[0])


@pytest.mark.parametrize("kind", ["application/grpc-web", "application/grpc-web+proto"])
def test_a_browser_speaks_grpc_web_over_http_1(shop_up: Up, anyone: Client, kind: str) -> None:
    product = shop_up.product()
    message = catalog_pb2.GetProductRequest(product_id=product["id"]).SerializeToString()
    headers = [("content-type", kind), ("x-grpc-web", "1"), ("origin", ORIGIN)]
    reply = anyone.send("POST", "/mercato.v1.CatalogService/GetProduct", frame(message), headers)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    [(answer_flags, answer), (trailer_flags, trailers)] = frames(reply.body)
    assert (answer_flags, trailer_flags) == (0, 0x80)
    assert catalog_pb2.Product.FromString(answer).name == product["name"]
    assert b"grpc-status:0" in trailers


def test_a_failed_condition_over_grpc_web_has_the_status_200(shop_up: Up, anyone: Client, admin: Client) -> None:
    update = catalog_pb2.UpdateProductRequest(product=catalog_pb2.Product(id=shop_up.product()["id"], name="New"))
    told = [("content-type", "application/grpc-web+proto"), ("authorization", f"Bearer {admin.token}"), ("if-match", '"0.0"')]
    reply = anyone.send("POST", "/mercato.v1.CatalogService/UpdateProduct", frame(update.SerializeToString()), told)
    assert (reply.status, reply.headers["grpc-status"], reply.headers["x-http-status"]) == (200, "10", None)


def test_an_error_over_grpc_web_has_its_details(anyone: Client) -> None:
    headers = [("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")]
    reply = anyone.send("POST", "/mercato.v1.UserService/GetMe", frame(b""), headers)
    told = b"".join(content for _, content in frames(reply.body)) + str(reply.headers).encode()
    assert reply.status == 200
    assert re.search(rb"grpc-status: ?16", told)
    assert b"grpc-status-details-bin" in told
