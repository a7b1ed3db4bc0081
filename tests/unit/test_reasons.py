"""The registry of reasons: each states what a caller needs, and can be read without gRPC."""

import ast
import base64
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from mercato import reasons
from mercato.reasons import REASONS, Reason, RetryAdvice
from mercato.rpcs import rpcs
from mercato_server import domain, rpc
from mercato_server.domain.errors import MercatoError
from mercato_server.edge.local_replies import local_reply_config
from mercato_server.rpc.statuses import status_code, status_metadata
from support.error_examples import kinds, makers
from support.retries import RETRY_HELPS

REASONS_MIN = 133
"""Reasons are never taken out of the list: clients know them."""
ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "protos/mercato/v1").glob("*.proto"))
DOCUMENTS = [*PROTOS, *sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
DOCUMENT = ROOT / "server/mercato_server/edge/openapi.json"
CODES = set(code_pb2.Code.keys())
CODE_AND_REASON = re.compile(rf"\b({'|'.join(sorted(CODES))}) ([A-Z][A-Z_]{{4,}})\b")
INFO, RETRY = "google.rpc.ErrorInfo", "google.rpc.RetryInfo"
for package in (domain, rpc):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
RAISED = [kind for kind in kinds() if hasattr(kind, "reason")]


def sent_details(error: MercatoError) -> set[str]:
    """Return the full names of the details that a client gets with an error."""
    status = Status.FromString(dict(status_metadata(error))["grpc-status-details-bin"])
    return {detail.type_url.rpartition("/")[2] for detail in status.details}


def test_no_reason_is_lost() -> None:
    assert len(REASONS) >= REASONS_MIN


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.name)
def test_a_reason_says_in_sentences_what_it_means_and_what_helps(reason: Reason) -> None:
    assert code_pb2.Code.Value(reason.code) > 0
    assert reason.meaning.endswith(".")
    assert reason.remedy.endswith(".")


def test_reasons_are_read_without_grpc() -> None:
    script = """
        import sys, types
        sys.modules["grpc"] = None  # an import of it fails
        package = sys.modules["mercato"] = types.ModuleType("mercato")
        package.__path__ = [sys.argv[1]]
        from mercato.reasons import REASONS
        print(REASONS["OUT_OF_STOCK"].code)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(Path(reasons.__file__).parent)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "FAILED_PRECONDITION\n"


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_an_error_of_the_server_is_as_its_reason_says(kind: type[MercatoError]) -> None:
    reason = REASONS[kind.reason]
    for make in makers(kind):
        error = make()
        details = sent_details(error)
        assert status_code(error).name == reason.code
        assert (RETRY in details) == (reason.retry is RetryAdvice.AFTER_DELAY)
        assert {reason.detail} - {""} <= details
        assert reason.detail or details == {INFO}


def test_the_edges_own_errors_are_as_their_reasons_say() -> None:
    """The bodies for REST clients; those for gRPC clients are made from the same rows."""
    bodies = [mapper["body_format_override"].get("json_format") for mapper in local_reply_config(rpcs())["mappers"]]
    answered = set()
    for body in filter(None, bodies):
        details = {detail["@type"].rpartition("/")[2]: detail for detail in body["details"]}
        reason = REASONS[details[INFO]["reason"]]
        assert code_pb2.Code.Name(body["code"]) == reason.code
        assert (RETRY in details) == (reason.retry is RetryAdvice.AFTER_DELAY)
        assert set(details) == {INFO, reason.detail} - {""}
        answered.add(reason.name)
    assert answered == {reason.name for reason in REASONS.values() if reason.by_edge}


def packed_status(header: str, delay_s: int = 1) -> Status:
    """Return the status in a header of the edge's configuration, for a delay that is known only at run time."""
    start, _, choice = header.partition("%CEL(")
    end = ast.literal_eval(choice[: choice.index("]") + 1])[delay_s] if choice else ""
    return Status.FromString(base64.b64decode(start + end + "=="))


def test_the_edge_tells_grpc_clients_each_delay_of_its_rate_limits() -> None:
    headers = [mapper["headers_to_add"] for mapper in local_reply_config(rpcs())["mappers"]]
    values = [each["header"]["value"] for added in headers for each in added if "%CEL(" in each["header"]["value"]]
    assert len(values) == 2
    for value in values:
        for delay_s in range(1, 61):
            status, info = packed_status(value, delay_s), RetryInfo()
            assert [detail.Unpack(info) for detail in status.details] == [False, True]
            assert (status.code, status.message, info.retry_delay) == (8, "too many requests", Duration(seconds=delay_s))


def test_the_edge_lets_grpc_clients_repeat_what_a_short_delay_helps() -> None:
    pushbacks = defaultdict(list)
    for mapper in local_reply_config(rpcs())["mappers"]:
        headers = {each["header"]["key"]: each["header"]["value"] for each in mapper["headers_to_add"]}
        if "grpc-status-details-bin" in headers:
            status = packed_status(headers["grpc-status-details-bin"])
            [info] = [detail.value for detail in status.details if detail.type_url.endswith(INFO)]
            pushbacks[ErrorInfo.FromString(info).reason].append(headers["grpc-retry-pushback-ms"])
    assert pushbacks.pop("UPSTREAM_UNAVAILABLE") == ["1000", "1000"]
    assert pushbacks.pop("RATE_LIMITED") == ["-1", "%RESP(RETRY-AFTER)%000"]  # the first is for more than 5 s
    assert {value for values in pushbacks.values() for value in values} == {"-1"}


def test_the_registry_has_the_reasons_of_server_and_edge_and_no_others() -> None:
    by_edge = {reason.name for reason in REASONS.values() if reason.by_edge}
    assert set(REASONS) == by_edge | {kind.reason for kind in RAISED}


def test_the_openapi_document_and_the_page_of_errors_have_every_reason() -> None:
    schemas = json.loads(DOCUMENT.read_text(encoding="utf-8"))["components"]["schemas"]
    assert schemas["ErrorInfo"]["properties"]["reason"] == {"$ref": "#/components/schemas/Reason"}
    assert schemas["Reason"]["x-extensible-enum"] == list(REASONS)
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| <a id=\"\w+\"></a>`(\w+)`", page, re.MULTILINE)
    assert sorted(rows) == sorted(REASONS)


@pytest.mark.parametrize("name", RETRY_HELPS)
def test_clients_repeat_the_requests_that_a_retry_helps(name: str) -> None:
    assert (REASONS[name].retry is RetryAdvice.AFTER_DELAY) == RETRY_HELPS[name]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_no_reason_with_a_code_that_it_does_not_have(document: Path) -> None:
    words = " ".join(line.strip().removeprefix("//") for line in document.read_text(encoding="utf-8").splitlines())
    wrong = [(code, name) for code, name in CODE_AND_REASON.findall(words) if name in REASONS and REASONS[name].code != code]
    assert wrong == []


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.name)
def test_the_comment_of_an_rpc_names_only_reasons_of_the_registry(proto: Path) -> None:
    words = " ".join(line.strip().removeprefix("//") for line in proto.read_text(encoding="utf-8").splitlines())
    assert {name for _, name in CODE_AND_REASON.findall(words)} - CODES - set(REASONS) == set()


def test_the_advice_for_known_reasons() -> None:
    assert {
        name: REASONS[name].retry for name in ("OUT_OF_STOCK", "ETAG_MISMATCH", "TOKEN_INVALID", "OVERLOADED", "DEADLINE_EXCEEDED")
    } == {
        "OUT_OF_STOCK": RetryAdvice.AFTER_CHANGE,
        "ETAG_MISMATCH": RetryAdvice.AFTER_READ,
        "TOKEN_INVALID": RetryAdvice.AFTER_LOGIN,
        "OVERLOADED": RetryAdvice.AFTER_DELAY,
        "DEADLINE_EXCEEDED": RetryAdvice.SAME_KEY,
    }
