"""`mercato reconcile`: compares the payment provider with the shop."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercato_server.cli.running import DataDir, database_url, run
from mercato_server.config import settings as config
from mercato_server.config.environment import ConfigError

if TYPE_CHECKING:
    from mercato_server.cli.reconciliation import Options

CLEAN, DISCREPANCIES, INCOMPLETE = 0, 1, 2
"""Exit codes. A comparison that could not be completed is never clean."""
WINDOW = timedelta(days=30)
FIRST_YEAR = 1970
REASON_MAX = 500


def reconcile(  # noqa: PLR0913, PLR0917 - options of a command
    since: Annotated[
        str | None, typer.Option("--from", help="First instant of creation: ISO 8601 with an offset, or Z. Default: 30 days ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="The instant after the last one. Default: now.")] = None,
    watch: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--watch", help="Go on: the last two days each interval, everything once an hour, until Ctrl-C.")
    ] = False,
    interval: Annotated[float, typer.Option(help="Seconds between the comparisons of --watch.", min=0.05)] = 60.0,
    grace: Annotated[
        float, typer.Option(help="Seconds: disagreements that are younger when the command starts are in flight.", min=0, max=86_400)
    ] = 300.0,
    accept: Annotated[list[str] | None, typer.Option("--accept", metavar="ID", help="Accept a difference as it is, by its id.")] = None,
    refund: Annotated[
        list[str] | None, typer.Option("--refund", metavar="ID", help="Give back a payment that the shop does not have, by its id.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why the differences are accepted, for the audit log.")] = None,
    as_json: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--json", help="Print a JSON object a line: the discrepancies, then the summary.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Compare the payments, refunds and disputes of the provider with those of the shop, both ways, and name each discrepancy.

    It reads DATABASE_URL, or a data directory of `mercato up`, and the account of MERCATO_STRIPE_SECRET_KEY, and may run beside a busy
    shop. Exit code 0 if both agree, 1 if there are discrepancies, 2 if the comparison could not be completed. With --watch the exit code is
    that of the last comparison, or of the last one of everything if that is higher.

    After a restore payments are off. Then the command also books what the provider tells of payments that both have, and payments go on
    once both agree. Payments that the shop has lost never do so by themselves: name each by --refund or --accept.
    """
    from mercato_server.cli.reconciliation import Options, Settles

    first, end = instant("--from", since), instant("--until", until)
    if watch and end:
        raise typer.BadParameter("--watch compares until now, so it takes no --until")
    if (first or datetime.now(UTC) - WINDOW) >= (end or datetime.now(UTC)):
        raise typer.BadParameter("--from must be before --until, and not in the future")
    settles = Settles(tuple(accept or ()), tuple(refund or ()), (reason or "").strip())
    if bool(settles.accepted) != bool(settles.reason) or len(settles.reason) > REASON_MAX:
        raise typer.BadParameter(f"--accept needs --reason, of at most {REASON_MAX} characters, which only it takes")
    if watch and (accept or refund):
        raise typer.BadParameter("--watch takes no --accept and no --refund")
    options = Options(
        since=first,
        until=end,
        interval_s=interval if watch else None,
        grace=timedelta(seconds=grace),
        window=WINDOW,
        as_json=as_json,
        settles=settles,
    )
    raise typer.Exit(run(_reconcile(data_dir, options)))


def instant(option: str, given: str | None) -> datetime | None:
    """Return an instant in UTC; raises BadParameter unless it has an offset."""
    if given is None:
        return None
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(given)
        if found.tzinfo is not None and found.year >= FIRST_YEAR:
            return found.astimezone(UTC)
    raise typer.BadParameter(f"{option} must be an instant with an offset, such as 2026-11-01T00:00:00Z")


async def _reconcile(data_dir: Path | None, options: "Options") -> int:
    from mercato_server.cli import reconciliation
    from mercato_server.config.payment_settings import PaymentSettings
    from mercato_server.embedded.processes import EmbeddedError

    try:
        settings, currency = PaymentSettings.from_environ(), config.currency()
        async with database_url(data_dir) as url:
            return await reconciliation.reconcile(url, settings, currency, options)
    except (ConfigError, EmbeddedError) as error:
        typer.echo(f"mercato: {error}", err=True)
        return INCOMPLETE
