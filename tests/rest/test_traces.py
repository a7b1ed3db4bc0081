"""Traces of REST calls through Envoy, with and without its cache."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from support.collector import Collector, collecting
from support.mercato_up import Up, running
from support.patience import until_sync

CALLER = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
TRACEPARENT = ("traceparent", f"00-{CALLER[0]}-{CALLER[1]}-01")
PROXY = "127.0.0.2"
"""Source address of the proxy that the shop trusts."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def up(collector: Collector) -> Iterator[Up]:
    """A shop that records every trace of its own, and continues those of one proxy, which names the address of its client."""
    environ = {
        "MERCATO_TRACING": "on",
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_SERVICE_NAME": "our-shop",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "MERCATO_TRACE_PROXIES": f"{PROXY}, 10.0.0.0/8",
        "MERCATO_TRUSTED_HOPS": "1",
        "MERCATO_EDGE_CACHE": "on",
    }
    with running("--workers", "1", **environ) as up:
        yield up


LIST = "mercato.v1.CatalogService/ListProducts"
PATHS = {"to a worker": [("cache-control", "no-cache")], "to the cache": []}
"""Headers of a request, by where Envoy sends it."""


@pytest.mark.parametrize("way", PATHS)
@pytest.mark.parametrize("source", [PROXY, "127.0.0.1", "127.0.0.3"])
def test_envoy_passes_the_trace_on_and_only_that_of_a_trusted_proxy_is_continued(
    up: Up, collector: Collector, way: str, source: str
) -> None:
    known = len(collector.named(LIST))
    # A client cannot say that it is the proxy, nor that its request has come through it.
    pretended = [("x-proxy-address", PROXY), ("x-client-address", PROXY), ("x-forwarded-for", PROXY)]
    page_size = 10 + 10 * list(PATHS).index(way) + int(source[-1])  # so that the cache does not know the answer
    client = replace(up.anyone, source=source)
    reply = client.send("GET", f"/products?page_size={page_size}", headers=[TRACEPARENT, *pretended, *PATHS[way]])
    assert reply.status == 200, reply
    span = until_sync(lambda: collector.named(LIST)[known:], "the span of the call")[-1]
    if source == PROXY:
        assert (span.trace_id, span.parent_id, span.links) == (*CALLER, [])
    else:
        assert (span.parent_id, span.links) == ("", [CALLER])
        assert span.trace_id != CALLER[0]
    assert span.resource["service.name"] == "our-shop"


def test_a_cart_call_over_rest_shows_its_statements_and_its_errors_as_without_traces(up: Up, collector: Collector) -> None:
    buyer, product = up.buyer(), up.product()
    assert buyer.post(f"/cart/add/{product['id']}").status == 200
    refused = buyer.post(f"/cart/add/{product['id']}?quantity=1001")
    assert (refused.status, refused.reason, refused.fields) == (400, "INVALID_FIELD", ["quantity"])
    until_sync(lambda: len(collector.named("mercato.v1.CartService/AddCartItem")) == 2, "both calls are there")
    added, wrong = sorted(collector.named("mercato.v1.CartService/AddCartItem"), key=lambda span: "error.type" in span.attributes)
    assert wrong.attributes["error.type"] == "INVALID_FIELD"
    [batch] = until_sync(
        lambda: [span for span in collector.named("batch of add_cart_item") if span.trace_id == added.trace_id], "the batch"
    )
    assert [span.name for span in collector.below(batch)] == ["BEGIN", "ADD_LINES", "COMMIT"]
