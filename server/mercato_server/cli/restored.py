"""`mercato restored`: marks a database that was restored or loaded by other programs than `mercato restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mercato_server.cli.reconcile import instant
from mercato_server.cli.running import DataDir, database_url, run


def restored(
    to: Annotated[
        str | None, typer.Option("--to", help="The moment that it was restored to: ISO 8601 with an offset, or Z. Default: not known.")
    ] = None,
    nothing_lost: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--nothing-lost", help="No order was lost: after pg_upgrade, or if the shop was stopped before the dump was made."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Migrate a database that was restored by other programs than `mercato restore`, or loaded from a dump, and mark it as restored.

    Run it before any worker serves the database, in DATABASE_URL as the role that owns the tables, or in a data directory of `mercato up`.
    Then all sessions end, and payments stay off until `mercato reconcile` is clean. With --nothing-lost sessions and payments go on.
    """
    moment = instant("--to", to)
    if moment and (nothing_lost or moment > datetime.now(UTC)):
        raise typer.BadParameter("--to must not be in the future, and has no use with --nothing-lost")
    run(_mark(data_dir, moment, nothing_lost=nothing_lost))
    if nothing_lost:
        typer.echo("marked as moved; workers may serve it")
    else:
        typer.echo(
            "marked as restored: all sessions have ended; with a payment provider payments are off until `mercato reconcile` is clean"
        )


async def _mark(data_dir: Path | None, moment: datetime | None, *, nothing_lost: bool) -> None:
    from mercato_server.config.payment_settings import PaymentSettings
    from mercato_server.store import restores

    takes_payments = PaymentSettings.from_environ().stripe is not None
    async with database_url(data_dir) as url:
        await restores.restored(url, moment, takes_payments=takes_payments, nothing_lost=nothing_lost)
