"""The registry of reasons: each states what a caller needs, and can be read without gRPC."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from google.rpc import code_pb2

from mercato import reasons
from mercato.reasons import REASONS, Reason, RetryAdvice

REASONS_MIN = 133
"""Reasons are never taken out of the list: clients know them."""


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
