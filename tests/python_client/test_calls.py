"""Calls of the Python clients: requests, keys, retries, pages, streams."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.message import Message

from mercato import AsyncClient, Client
from mercato.errors import Cancelled, ClientClosed, DeadlineExceeded, Unavailable
from mercato.v1.cart_pb2 import AddCartItemRequest, Cart
from mercato.v1.catalog_pb2 import ListProductsRequest, ListProductsResponse, Product
from mercato.v1.media_pb2 import PictureUpload, UploadPictureContentRequest
from support.patience import patient
from support.python_twins import Twin
from support.scripted_server import Gate, Received, Refused, Scripted, scripted

ATTEMPTS = 5


def pages(call: Received) -> Message:
    """Answer lists with three pages of two products, and other calls with what came."""
    if call.name == "ListProducts":
        request = ListProductsRequest.FromString(call.body)
        number = int(request.page_token or "0")
        products = [Product(id=str(2 * number + place)) for place in range(2)]
        return ListProductsResponse(products=products, next_page_token=str(number + 1) if number < 2 else "")
    if call.name == "UploadPictureContent":
        return PictureUpload(id=call.body.decode(errors="replace"))
    return Cart(etag=call.token)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(pages) as server:
        yield server


def test_fields_and_a_message_are_the_same_request(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        client.cart.add_cart_item(product_id="1", quantity=2)
        client.cart.add_cart_item(AddCartItemRequest(product_id="1", quantity=2))
    one, other = server.received
    assert one.body == other.body == AddCartItemRequest(product_id="1", quantity=2).SerializeToString()


def test_a_wrong_request_is_refused_before_it_is_sent(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        with pytest.raises(TypeError, match="not both"):
            client.cart.add_cart_item(AddCartItemRequest(), quantity=2)
        with pytest.raises(TypeError, match="takes a AddCartItemRequest"):
            client.cart.add_cart_item(ListProductsRequest())
        with pytest.raises(TypeError, match="product"):
            client.cart.add_cart_item(product="1")
    assert server.received == []


def test_each_change_has_a_key_of_its_own_and_reads_have_none(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        for _ in range(2):
            client.cart.add_cart_item(product_id="1")
        client.cart.add_cart_item(product_id="1", idempotency_key="mine")
        client.cart.add_cart_item(product_id="1", metadata=[("idempotency-key", "mine too")])
        client.cart.get_cart()
    one, two, mine, too, read = (call.key for call in server.received)
    assert one != two
    assert "" not in (one, two)
    assert (mine, too, read) == ("mine", "mine too", "")


def test_an_etag_that_is_no_field_goes_beside_the_request(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        client.catalog.update_product(product=Product(id="1"), etag="7")
    assert server.received[0].metadata["if-match"] == "7"


def test_an_answer_tells_its_request_id_and_whether_it_was_replayed(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        answer = client.with_response.cart.get_cart(metadata=[("x-request-id", "abc")])
        assert (answer.message, answer.request_id, answer.replayed) == (Cart(), "abc", False)
        other = client.with_response.cart.get_cart()
    assert other.request_id == server.received[1].metadata["x-request-id"] != "abc"


def test_a_list_fetches_pages_as_its_items_are_needed(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        found = iter(client.catalog.list_products(skip=1))
        assert [next(found).id, next(found).id] == ["0", "1"]
        assert len(server.received) == 1
        assert [product.id for product in found] == ["2", "3", "4", "5"]
        assert [ListProductsRequest.FromString(call.body).skip for call in server.received] == [1, 0, 0]
        assert [len(page.products) for page in client.catalog.list_products().pages()] == [2, 2, 2]
        assert client.catalog.list_products(page_token="2").page().next_page_token == ""
        assert client.with_response.catalog.list_products().message.next_page_token == "1"


@pytest.mark.parametrize("form", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_a_stream_takes_any_iterable(twin: Twin, server: Scripted, form: type) -> None:
    pieces = [UploadPictureContentRequest(upload_id="1"), UploadPictureContentRequest(upload_id="2")]
    with twin.open(server.target) as client:
        upload = client.media.upload_picture_content(form(pieces))
    assert upload.id.encode() == b"|".join(piece.SerializeToString() for piece in pieces)


async def test_a_stream_takes_an_asynchronous_iterable(server: Scripted) -> None:
    async def pieces() -> AsyncIterator[UploadPictureContentRequest]:
        yield UploadPictureContentRequest(upload_id="1")

    async with AsyncClient(server.target) as client:
        upload = await client.media.upload_picture_content(pieces())
    assert upload.id.encode() == UploadPictureContentRequest(upload_id="1").SerializeToString()


@pytest.mark.parametrize(("call", "attempts"), [("read", ATTEMPTS), ("keyed", ATTEMPTS), ("unkeyed", 1)])
def test_lost_calls_are_repeated_with_their_key_if_that_is_safe(twin: Twin, server: Scripted, call: str, attempts: int) -> None:
    def lost(_: Received) -> Message:
        raise Refused(grpc.StatusCode.UNAVAILABLE)

    server.script = lost
    with twin.open(server.target, timeout=patient()) as client:
        calls = {
            "read": client.cart.get_cart,
            "keyed": lambda: client.cart.add_cart_item(product_id="1"),
            "unkeyed": lambda: client.auth.login(email="a", password="b"),
        }
        with pytest.raises(Unavailable) as failed:
            calls[call]()
    keys = {sent.key for sent in server.received}
    assert (len(server.received), len(keys)) == (attempts, 1)
    assert {sent.metadata["x-request-id"] for sent in server.received} == {failed.value.request_id}
    assert failed.value.outcome_unknown == (call != "read")
    assert failed.value.idempotency_key == (keys.pop() or None)


def test_a_timeout_ends_a_call_and_its_error_has_the_key(twin: Twin, server: Scripted) -> None:
    gate = Gate()

    def held(_: Received) -> Message:
        gate.wait_there()
        return Cart()

    server.script = held
    with twin.open(server.target) as client:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded) as late:
            client.cart.add_cart_item(product_id="1", timeout=0.3, idempotency_key="mine")
        took_s = time.monotonic() - began
        gate.open()
    assert took_s < 0.3 + patient() / 60
    assert (late.value.outcome_unknown, late.value.idempotency_key) == (True, "mine")
    assert "idempotency_key='mine'" in str(late.value)


def test_an_edge_that_is_away_for_a_moment_fails_no_call(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target, timeout=patient()) as client, ThreadPoolExecutor(1) as pool:
        client.cart.get_cart()
        server.stop()
        calls = [pool.submit(client.cart.get_cart), pool.submit(client.cart.add_cart_item, product_id="1")]
        time.sleep(0.3)  # the fault itself, not a wait for it
        server.start()
        assert [call.result(patient()) for call in calls] == [Cart(), Cart()]
    assert server.counts == {"GetCart": 2, "AddCartItem": 1}


def test_a_closed_client_says_so(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target) as client:
        client.cart.get_cart()
        client.close()
        client.close()
        with pytest.raises(ClientClosed):
            client.cart.get_cart()


def test_a_client_that_was_never_used_closes(twin: Twin) -> None:
    with twin.open("localhost:1") as client:
        client.close()
        with pytest.raises(ClientClosed):
            client.cart.get_cart()


def test_threads_share_a_client(twin: Twin, server: Scripted) -> None:
    with twin.open(server.target, timeout=patient()) as client, ThreadPoolExecutor(8) as pool:
        carts = [pool.submit(client.cart.add_cart_item, product_id="1") for _ in range(200)]
        assert {cart.result(patient()).etag for cart in carts} == {""}
    assert len({call.key for call in server.received}) == 200


def test_a_client_built_outside_of_any_loop_serves_several_loops(server: Scripted) -> None:
    client = AsyncClient(server.target)

    async def call() -> Cart:
        return await client.cart.get_cart()

    assert [asyncio.run(call()) for _ in range(3)] == [Cart()] * 3
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: asyncio.run(call()), range(4))) == [Cart()] * 4
    asyncio.run(client.close())


def test_an_error_of_a_streams_source_reaches_its_caller_and_no_log(twin: Twin, server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    def pieces() -> Iterator[UploadPictureContentRequest]:
        yield UploadPictureContentRequest(upload_id="1")
        raise OSError("the disk is gone")

    with twin.open(server.target) as client:
        client.cart.get_cart()
        with pytest.raises(OSError, match="the disk is gone"):
            client.media.upload_picture_content(pieces())
        with pytest.raises(TypeError, match="takes each UploadPictureContentRequest of a stream, not a bytes"):
            client.media.upload_picture_content([b"1"])
        assert client.cart.get_cart() == Cart()
    assert server.counts == {"GetCart": 2}, "a broken upload has no end that the server sees"
    assert caplog.records == []


def once_held(gate: Gate) -> Callable[[Received], Message]:
    """Return a script that holds its first call at a gate."""
    is_first = iter([True])

    def answer(_: Received) -> Message:
        if next(is_first, False):
            gate.wait_there()
        return Cart()

    return answer


async def test_a_cancelled_call_can_be_repeated_with_its_key(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    server.script = once_held(gate)
    async with AsyncClient(server.target, timeout=patient()) as client:
        with caplog.at_level(logging.DEBUG, "mercato"):
            call = asyncio.ensure_future(client.cart.add_cart_item(product_id="1", idempotency_key="mine"))
            await asyncio.to_thread(gate.wait_until_reached)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await client.cart.add_cart_item(product_id="1", idempotency_key="mine")
        gate.open()
    assert [call.key for call in server.received] == ["mine", "mine"]
    assert [record.idempotency_key for record in caplog.records] == ["mine"]  # type: ignore[attr-defined] # an extra


def test_a_call_that_ctrl_c_interrupts_can_be_repeated_with_its_key(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    server.script = once_held(gate)

    def press() -> None:
        gate.wait_until_reached()
        signal.raise_signal(signal.SIGINT)

    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Client(server.target, timeout=patient()) as client, ThreadPoolExecutor(1) as pool:
            pool.submit(press)
            with caplog.at_level(logging.DEBUG, "mercato"), pytest.raises(KeyboardInterrupt):
                client.cart.add_cart_item(product_id="1", idempotency_key="mine")
            client.cart.add_cart_item(product_id="1", idempotency_key="mine")
            gate.open()
    finally:
        signal.signal(signal.SIGINT, former)
    assert [call.key for call in server.received] == ["mine", "mine"]
    assert [record.idempotency_key for record in caplog.records] == ["mine"]  # type: ignore[attr-defined] # an extra


def test_loops_of_other_threads_may_begin_while_those_that_have_ended_are_forgotten(server: Scripted) -> None:
    client = AsyncClient(server.target)

    async def call() -> Cart:
        return await client.cart.get_cart()

    class Ended(asyncio.SelectorEventLoop):
        """Lets another loop call while a client asks whether this one has ended."""

        calls = iter([call])

        def is_closed(self) -> bool:
            closed = super().is_closed()
            if closed and (other := next(self.calls, None)) is not None:
                with ThreadPoolExecutor(1) as pool:
                    assert pool.submit(asyncio.run, other()).result(patient()) == Cart()
            return closed

    with asyncio.Runner(loop_factory=Ended) as ended:
        assert ended.run(call()) == Cart()
    assert asyncio.run(call()) == Cart()
    assert server.counts == {"GetCart": 3}


def test_closing_a_client_ends_its_calls_in_flight(twin: Twin, server: Scripted) -> None:
    gate = Gate()

    def held(_: Received) -> Message:
        gate.wait_there()
        return Cart()

    server.script = held
    with twin.open(server.target, timeout=patient()) as client, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.cart.add_cart_item, product_id="1", idempotency_key="mine")
        gate.wait_until_reached()
        client.close()
        with pytest.raises(Cancelled) as ended:
            call.result(patient())
        gate.open()
    assert (ended.value.outcome_unknown, ended.value.idempotency_key) == (True, "mine")
