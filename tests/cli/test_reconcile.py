"""`mercato reconcile`, as an operator runs it: its exit codes, its lines, and comparisons that cannot be completed."""

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from ports import free_port
from support.commands import environ
from support.patience import patient, until
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble
from support.stripe_double.faults import LOST_ANSWER, Fault, refused

CLEAN, DISCREPANCIES, INCOMPLETE = 0, 1, 2
TRIES = 4
"""Tries of a read."""

Reconcile = Callable[..., Awaitable[Process]]
Missing = Callable[[], str]


@pytest.fixture
async def double() -> AsyncIterator[StripeDouble]:
    double = StripeDouble()
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def missing(double: StripeDouble) -> Missing:
    """Make a payment at the provider that names one of the shop's; return its reference."""
    return lambda: double.account.create(500, "usd", "automatic", metadata={"payment_id": str(uuid4())}).id


@pytest.fixture
async def started(database: str, double: StripeDouble) -> AsyncIterator[Reconcile]:
    """Start the command with the double as its provider."""
    running: list[Process] = []

    async def start(*arguments: str, **changes: str) -> Process:
        stripe = {
            "MERCATO_STRIPE_SECRET_KEY": SECRET_KEY,
            "MERCATO_STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "MERCATO_STRIPE_URL": double.url,
            "MERCATO_STRIPE_REQUESTS_PER_SECOND": "100000",
        }
        env = {**environ(database), **stripe, **changes}
        command = (sys.executable, "-m", "mercato_server", "reconcile", *arguments)
        running.append(await asyncio.create_subprocess_exec(*command, env=env, stdout=PIPE, stderr=PIPE))
        return running[-1]

    yield start
    for process in running:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Process) -> tuple[int, list[str], str]:
    """Return the exit code, the lines and the errors of a command that ends."""
    out, err = await asyncio.wait_for(process.communicate(), patient())
    assert process.returncode is not None
    assert "Traceback" not in err.decode(), err
    return process.returncode, out.decode().splitlines(), err.decode()


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


async def test_a_shop_that_agrees_ends_with_0_and_other_programs_count(started: Reconcile, double: StripeDouble) -> None:
    double.account.create(500, "usd", "automatic")
    code, [line], err = await ended(await started("--grace", "0"))
    assert (code, err) == (CLEAN, "")
    assert line.endswith("compared 0 payments, 0 refunds and 0 disputes; 0 discrepancies, 0 in flight, 1 payments of other programs")


async def test_a_discrepancy_ends_with_1_and_is_named(started: Reconcile, missing: Missing) -> None:
    ref = missing()
    code, [line, summary], err = await ended(await started("--grace", "0"))
    assert (code, err) == (DISCREPANCIES, "")
    assert re.match(r"missing_in_shop: id=[a-z2-7]{16} payment_id=", line)
    assert line.endswith(f" provider_ref={ref} shop: none; provider: open, captured 0 of 500 USD")
    assert "; 1 discrepancies, 0 in flight" in summary


async def test_json_has_an_object_for_each_discrepancy_and_the_summary_at_the_end(started: Reconcile, missing: Missing) -> None:
    refs = sorted(missing() for _ in range(3))
    code, lines, _ = await ended(await started("--grace", "0", "--json"))
    *told, summary = objects(lines)
    assert code == DISCREPANCIES
    assert sorted(each["provider_ref"] for each in told) == refs
    assert {(each["type"], each["kind"], each["order_id"]) for each in told} == {("discrepancy", "missing_in_shop", None)}
    assert (summary["type"], summary["result"], summary["discrepancies"]) == ("summary", "discrepancies", 3)
    assert summary["kinds"] == {"missing_in_shop": 3}


async def test_what_is_younger_than_the_grace_and_what_is_outside_of_the_window_is_no_discrepancy(
    started: Reconcile, missing: Missing
) -> None:
    missing()
    code, lines, _ = await ended(await started("--json"))
    assert (code, objects(lines)[0]["in_flight"]) == (CLEAN, 1)
    code, lines, _ = await ended(
        await started("--json", "--grace", "0", "--from", "2026-01-01T00:00:00+01:00", "--until", "2026-01-02T00:00:00Z")
    )
    [summary] = objects(lines)
    assert (code, summary["payments"], summary["in_flight"]) == (CLEAN, 0, 0)
    assert (summary["from"], summary["until"]) == ("2025-12-31T23:00:00Z", "2026-01-02T00:00:00Z")


@pytest.mark.parametrize("operation", ["payment_intents.list", "refunds.list", "disputes.list"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_permission_that_is_missing_is_never_clean(started: Reconcile, double: StripeDouble, operation: str, status: int) -> None:
    double.faults.add(operation, refused(status))
    code, lines, err = await ended(await started("--json"))
    assert code == INCOMPLETE
    assert f"the provider cannot be read: http_{status}: " in err
    assert "the key needs to read payment intents, refunds, charges and disputes" in err
    assert objects(lines)[-1]["result"] == "incomplete"


async def test_a_page_that_is_lost_midway_is_never_clean_and_keeps_what_was_found(
    started: Reconcile, double: StripeDouble, missing: Missing
) -> None:
    for _ in range(600):  # more suspects than a round has
        missing()
    double.faults.add("payment_intents.list", *([Fault()] * 5), *([LOST_ANSWER] * TRIES))
    code, lines, err = await ended(await started("--json", "--grace", "0"))
    *told, summary = objects(lines)
    assert (code, summary["result"], summary["discrepancies"]) == (INCOMPLETE, "incomplete", len(told))
    assert len(told) == 500
    assert "the provider cannot be read: connection" in err


async def test_a_page_that_comes_at_the_last_try_is_enough(started: Reconcile, double: StripeDouble) -> None:
    double.faults.add("payment_intents.list", refused(503), refused(429), LOST_ANSWER)
    assert (await ended(await started()))[0] == CLEAN
    assert double.faults.left() == 0


async def test_a_provider_or_database_that_is_down_is_never_clean(started: Reconcile, double: StripeDouble) -> None:
    code, _, err = await ended(await started(DATABASE_URL=f"postgresql://mercato@127.0.0.1:{free_port()}/none"))
    assert code == INCOMPLETE
    assert "the database cannot be read: " in err
    await double.go_down()
    code, lines, err = await ended(await started())
    assert (code, lines) == (INCOMPLETE, ["incomplete: 0 discrepancies so far"])
    assert "the provider cannot be read: connection" in err


async def test_a_schema_of_another_release_is_never_clean(started: Reconcile, empty_database: str) -> None:
    code, _, err = await ended(await started(DATABASE_URL=empty_database))
    assert code == INCOMPLETE
    assert "the database cannot be read: " in err


async def test_a_shop_without_a_provider_is_never_clean(started: Reconcile) -> None:
    code, lines, err = await ended(await started(MERCATO_STRIPE_SECRET_KEY=""))
    assert (code, lines) == (INCOMPLETE, [])
    assert err.startswith("mercato: no payment provider is configured")
    code, _, err = await ended(await started(MERCATO_STRIPE_SECRET_KEY="sk_nonsense"))
    assert code == INCOMPLETE
    assert "MERCATO_STRIPE_SECRET_KEY must be a key of Stripe" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-01-01"),
        ("--from", "yesterday"),
        ("--from", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"),
        ("--from", "2999-01-01T00:00:00Z"),
        ("--watch", "--until", "2026-01-01T00:00:00Z"),
        ("--accept", "abc"),
        ("--reason", "none"),
        ("--watch", "--refund", "abc"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(started: Reconcile, arguments: tuple[str, ...]) -> None:
    code, lines, _ = await ended(await started(*arguments))
    assert (code, lines) == (INCOMPLETE, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_watch_repeats_until_a_signal_and_ends_with_the_last_result(
    started: Reconcile, missing: Missing, double: StripeDouble, number: int
) -> None:
    process = await started("--watch", "--interval", "0.1", "--grace", "0", "--json")
    assert (await _next(process))["result"] == "clean"
    await _next(process)
    missing()
    await until(lambda: _found(process), "the watch finds it")
    process.send_signal(number)
    assert (await ended(process))[0] == DISCREPANCIES


async def test_a_watch_goes_on_when_the_provider_is_back(started: Reconcile, double: StripeDouble) -> None:
    double.faults.add("payment_intents.list", refused(403))
    process = await started("--watch", "--interval", "0.1", "--json")
    assert (await _next(process))["result"] == "incomplete"
    summary = await _next(process)
    assert summary["result"] == "clean"
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == CLEAN


async def _next(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), patient())
    found: dict[str, Any] = json.loads(line)
    return found


async def _found(process: Process) -> bool:
    return bool((await _next(process))["type"] == "discrepancy")
