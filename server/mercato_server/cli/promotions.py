"""`mercato promotions`: exports promotions, creates codes, and exports them as CSV."""

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from mercato_server.cli.running import DataDir, run, shop_pool

if TYPE_CHECKING:
    from mercato_server.domain.promotion_codes import CodeBatch

app = typer.Typer(help="Promotions and their codes.", no_args_is_help=True)

PAGE = 100
"""Promotions that are read at once."""

PromotionId = Annotated[UUID, typer.Argument(help="Id of the promotion.", metavar="ID")]


@app.command("export")
def list_promotions(
    archived: Annotated[bool, typer.Option("--archived", help="Also those that are archived.")] = False,  # noqa: FBT002 - a flag
    data_dir: DataDir = None,
) -> None:
    """Print promotions, newest first, one JSON object a line, from DATABASE_URL or a data directory of `mercato up`."""
    run(_list(data_dir, archived=archived))


async def _list(data_dir: Path | None, *, archived: bool) -> None:
    from mercato_server.domain.paging import Page
    from mercato_server.store import promotions

    async with shop_pool(data_dir) as pool:
        after = None
        while True:
            found, after = await promotions.promotions(pool, Page(PAGE, after), show_archived=archived)
            for promotion in found:
                draft = promotion.draft
                line = {
                    "id": promotion.id,
                    "name": draft.name,
                    "kind": draft.kind,
                    "needs_code": draft.needs_code,
                    "start_time": draft.starts_at and draft.starts_at.isoformat(),
                    "end_time": draft.ends_at and draft.ends_at.isoformat(),
                    "used": promotion.used,
                    "usage_limit": draft.usage_limit,
                    "codes": promotion.codes,
                    "archive_time": promotion.archived_at and promotion.archived_at.isoformat(),
                }
                sys.stdout.write(json.dumps(line, default=str) + "\n")
            if after is None:
                return


@app.command("create-codes")
def create_codes(
    promotion_id: PromotionId,
    count: Annotated[int, typer.Option(help="Codes to create, at most 10,000.")],
    prefix: Annotated[str, typer.Option(help="The beginning of each code, at most 12 characters.")] = "",
    length: Annotated[int, typer.Option(help="Random characters of each code, 8 to 24.")] = 12,
    usage_limit: Annotated[int, typer.Option(help="Most uses of each code.")] = 1,
    data_dir: DataDir = None,
) -> None:
    """Create random codes of a promotion, and write them as CSV to standard output: code, promotion, usage_limit.

    Standard error has the id of their batch, by which `mercato promotions export-codes` writes them again.
    """
    run(_create(data_dir, promotion_id, _batch(count, prefix, length, usage_limit)))


def _batch(count: int, prefix: str, length: int, usage_limit: int) -> "CodeBatch":
    """Return a batch; raises InvalidRequest as the RPC does."""
    from mercato_server.validation.checks import Checks
    from mercato_server.validation.promotions import batch

    with Checks() as check:
        return batch(check, count=count, prefix=prefix, length=length, usage_limit=usage_limit)


async def _create(data_dir: Path | None, promotion_id: UUID, batch: "CodeBatch") -> None:
    from mercato_server.domain.accounts import COMMAND_LINE
    from mercato_server.store import promotion_codes

    async with shop_pool(data_dir) as pool:
        actor = COMMAND_LINE._replace(request_id=f"codes-{uuid.uuid4()}")
        batch_id = await promotion_codes.generate(pool, promotion_id, batch, actor)
        assert isinstance(batch_id, UUID)  # noqa: S101 - without a key there is no stored response
        typer.echo(f"{batch.count} codes of batch {batch_id}", err=True)
        await promotion_codes.export(pool, promotion_id, batch_id, sys.stdout.buffer, with_uses=False)


@app.command("export-codes")
def export_codes(
    promotion_id: PromotionId,
    batch: Annotated[UUID | None, typer.Option(help="Only the codes of this batch.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the codes of a promotion that are not archived as CSV to standard output: code, promotion, usage_limit, used."""
    run(_export(data_dir, promotion_id, batch))


async def _export(data_dir: Path | None, promotion_id: UUID, batch_id: UUID | None) -> None:
    from mercato_server.store import promotion_codes, promotions

    async with shop_pool(data_dir) as pool:
        await promotions.get(pool, promotion_id)
        written = await promotion_codes.export(pool, promotion_id, batch_id, sys.stdout.buffer, with_uses=True)
    typer.echo(f"{written} codes", err=True)
