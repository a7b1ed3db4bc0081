"""`mercato account`: exports what the shop holds of a person as JSON, and erases it."""

import json
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from uuid import UUID

import typer

from mercato_server.cli.reconcile import instant
from mercato_server.cli.running import DataDir, output, run, shop_pool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from mercato_server.database.pool import Pool
    from mercato_server.domain.accounts import Actor

app = typer.Typer(help="The personal data of a buyer.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(help="E-mail address, or id of an account.", metavar="EMAIL|ID")]


class _Person(NamedTuple):
    """A person as the shop knows it: by an account, and by orders of guests for an address."""

    account_id: UUID | None
    address: str | None
    """None if the account was named by its id."""


@app.command("export")
def export_account(
    who: Who,
    file: Annotated[
        Path | None,
        typer.Option("--output", help="File to write, which only you can read; it appears once complete. Default: standard output."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write what the shop holds of a person as one JSON object, from DATABASE_URL or a data directory of `mercato up`.

    It has the account, its orders and the notes of administrators about them. For an e-mail address it also has the orders of guests for
    this address, with or without an account. The audit log records the export.
    """
    typer.echo(f"{run(_export(data_dir, who, file))} orders", err=True)


@app.command("erase")
def erase_account(
    who: Who,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Also if orders are not paid or not shipped, or a refund or dispute is under way."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Erase what the shop holds of a person, in DATABASE_URL or in a data directory of `mercato up`. It cannot be undone.

    Orders stay with their lines, amounts, and the country and region of their taxes. For an e-mail address the orders of guests for this
    address are erased too, with or without an account. The audit log records the erasure. An interrupted command can be run again.
    """
    if not yes:
        typer.confirm(f"Erase {who}? It cannot be undone.", abort=True)
    typer.echo(f"erased; {run(_erase(data_dir, who, unfinished=unfinished))} orders stay without their buyer")


@app.command("erased")
def list_erased(
    since: Annotated[str, typer.Option("--since", help="First instant of erasure: ISO 8601 with an offset, or Z.")],
    data_dir: DataDir = None,
) -> None:
    """Print the ids of the accounts that were erased since a moment, one a line, with the time. Keep the list with each backup.

    A restore to before brings these people back; `mercato account erase-again` takes the list.
    """
    moment = instant("--since", since)
    run(_list_erased(data_dir, moment or datetime.now(UTC)))


@app.command("erase-again")
def erase_again(
    file: Annotated[Path, typer.Argument(help="Lines of `mercato account erased`; - for standard input.", allow_dash=True)],
    data_dir: DataDir = None,
) -> None:
    """Erase the accounts of a list once more, after a restore has brought them back, and what their orders say of them.

    Accounts that the restored shop does not have are passed over. The audit log records each erasure. The command can be run again.
    """
    lines = (sys.stdin if str(file) == "-" else file.open(encoding="utf-8")).read().split("\n")
    try:
        ids = [UUID(line.split()[0]) for line in lines if line.strip()]
    except ValueError:
        raise typer.BadParameter("each line must begin with the id of an account") from None
    erased, unknown = run(_erase_again(data_dir, ids))
    typer.echo(f"{erased} erased, {unknown} unknown")


async def _list_erased(data_dir: Path | None, since: datetime) -> None:
    from mercato_server.store import erasure

    async with shop_pool(data_dir) as pool:
        async for account_id, erased_at in erasure.erased_since(pool, since):
            typer.echo(f"{account_id} {erased_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")


async def _erase_again(data_dir: Path | None, ids: "Sequence[UUID]") -> tuple[int, int]:
    """Erase accounts, also with unfinished orders; return how many, and how many do not exist."""
    from mercato_server.domain.errors import UserNotFound
    from mercato_server.store import erasure

    unknown = 0
    async with shop_pool(data_dir) as pool:
        for account_id in ids:
            try:
                await erasure.erase(pool, erasure.Erasure(account_id=account_id, operator=_operator(), unfinished=True))
            except UserNotFound:
                unknown += 1
    return len(ids) - unknown, unknown


async def _export(data_dir: Path | None, who: str, path: Path | None) -> int:
    """Write the export of a person; return the number of orders."""
    from mercato_server.store import personal_exports

    async with shop_pool(data_dir) as pool:
        person = await _find(pool, who)
        await personal_exports.record(pool, _operator(), person.account_id)  # first, because a reader of a pipe may have seen a part
        with output(path, private=True) as file:
            account = await personal_exports.account(pool, person.account_id) if person.account_id else None
            file.write(b'{"account": ' + json.dumps(account).encode())
            written = await _write_orders(pool, "orders", person.account_id, file)
            written += await _write_orders(pool, "guest_orders", person.address, file)
            file.write(b"}\n")
    return written


async def _write_orders(pool: "Pool", name: str, buyer: UUID | str | None, file: "BinaryIO") -> int:
    """Write a list of orders as a part of an object, one order a line; return their number."""
    from mercato_server.store import personal_exports

    written = 0
    file.write(f',\n"{name}": ['.encode())
    if buyer is not None:
        async for order in personal_exports.all_orders(pool, buyer):
            file.write((b",\n" if written else b"\n") + json.dumps(order).encode())
            written += 1
    file.write(b"]")
    return written


async def _erase(data_dir: Path | None, who: str, *, unfinished: bool) -> int:
    """Erase a person; return the number of orders that have been cleared."""
    from mercato_server.store import erasure

    async with shop_pool(data_dir) as pool:
        person, operator, orders = await _find(pool, who), _operator(), 0
        if person.account_id:
            wanted = erasure.Erasure(account_id=person.account_id, operator=operator, unfinished=unfinished)
            orders += await erasure.erase(pool, wanted)
        if person.address:
            orders += await erasure.erase_contact(pool, erasure.Contact(person.address, operator, unfinished))
    return orders


async def _find(pool: "Pool", who: str) -> _Person:
    """Return the person of an argument; raises BadParameter if the shop knows none, and UserNotFound for an unknown id."""
    from mercato_server.domain import addresses
    from mercato_server.store import accounts, erasure, users

    if "@" not in who:
        try:
            account_id = UUID(who)
        except ValueError:
            raise typer.BadParameter("must be an e-mail address or the id of an account") from None
        return _Person((await users.get(pool, account_id)).id, None)
    address = addresses.sought(who)
    account = await accounts.find(pool, address)
    if account is None and not await erasure.guests_of(pool, address):
        raise typer.BadParameter(f"the shop has no account and no guest with the address {address}")
    return _Person(account.id if account else None, address)


def _operator() -> "Actor":
    from mercato_server.domain.accounts import COMMAND_LINE

    return COMMAND_LINE._replace(request_id=f"account-{uuid.uuid4()}")
