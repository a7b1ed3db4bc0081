"""`mercato promotions`, as an operator runs it at a terminal."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.promotion_codes import CodeDraft
from mercato_server.domain.promotion_drafts import PromotionDraft, StoredPromotion
from mercato_server.domain.promotions import PromotionKind
from mercato_server.store import promotion_codes, promotions
from support.commands import Mercato, environ
from support.forked_commands import Commands

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def mercato(commands: Commands, tmp_path: Path, database: str) -> Mercato:
    """Run a command about promotions in its own directory."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return commands.run(("promotions", *arguments), environ(database), tmp_path)

    return run


async def make(pool: "Pool", name: str = "Sale", *, needs_code: bool = True) -> StoredPromotion:
    draft = PromotionDraft(name=name, kind=PromotionKind.PERCENT, percent_ppm=1, needs_code=needs_code, usage_limit=9)
    made = await promotions.create(pool, draft, COMMAND_LINE)
    assert isinstance(made, StoredPromotion)
    return made


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


async def test_10000_codes_are_created_in_one_call_and_written_as_csv(mercato: Mercato, pool: "Pool") -> None:
    promotion = await make(pool)
    done = mercato("create-codes", str(promotion.id), "--count", "10000", "--prefix", "VIP-")
    assert done.returncode == 0, done.stderr
    header, *lines = rows(done.stdout)
    assert header == ["code", "promotion", "usage_limit"]
    assert len({code for code, _, _ in lines}) == len(lines) == 10_000
    assert {(code[:4], len(code), of, limit) for code, of, limit in lines} == {("VIP-", 16, str(promotion.id), "1")}
    stored = await pool.fetch("SELECT code, batch_id::text FROM promotion_codes")
    assert {row["code"] for row in stored} == {code for code, _, _ in lines}
    [batch] = {row["batch_id"] for row in stored}
    assert done.stderr == f"10000 codes of batch {batch}\n"
    entry = await pool.fetchrow("SELECT actor_kind, actor_id, action, subject_id, after->>'count' FROM audit_log ORDER BY id DESC LIMIT 1")
    assert tuple(entry or ()) == ("system", None, "promotion.codes_generated", promotion.id, "10000")


async def test_codes_are_exported_of_one_batch_or_of_all_with_their_uses(mercato: Mercato, pool: "Pool") -> None:
    promotion, other = await make(pool), await make(pool)
    for code, limit in (("Stra\u00dfe", None), ("GONE", 3)):
        await promotion_codes.create(pool, promotion.id, CodeDraft(code, code.casefold(), limit), COMMAND_LINE)
    await promotion_codes.archive(pool, promotion.id, "gone", COMMAND_LINE)
    made = mercato("create-codes", str(promotion.id), "--count", "3", "--length", "8", "--usage-limit", "7")
    batch = made.stderr.split()[-1]
    assert str(UUID(batch)) == batch
    mercato("create-codes", str(other.id), "--count", "2")
    await pool.execute("UPDATE promotion_codes SET used = 2 WHERE batch_id IS NULL AND archived_at IS NULL")
    done = mercato("export-codes", str(promotion.id), "--batch", batch)
    assert rows(done.stdout) == [["code", "promotion", "usage_limit", "used"], *([*line, "0"] for line in rows(made.stdout)[1:])]
    assert done.stderr == "3 codes\n"
    everything = rows(mercato("export-codes", str(promotion.id)).stdout)
    assert len(everything) == 5
    assert ["Stra\u00dfe", str(promotion.id), "", "2"] in everything


async def test_promotions_are_listed_a_line_each_newest_first(mercato: Mercato, pool: "Pool") -> None:
    made = [await make(pool, f"Sale \u2013 {number}") for number in range(102)]  # more than a page
    await promotions.archive(pool, made[50].id, (), COMMAND_LINE)
    lines = [json.loads(line) for line in mercato("export").stdout.splitlines()]
    assert [line["id"] for line in lines] == [str(each.id) for each in reversed(made) if each is not made[50]]
    assert lines[0] == {
        "id": str(made[-1].id),
        "name": "Sale \u2013 101",
        "kind": "percent",
        "needs_code": True,
        "start_time": None,
        "end_time": None,
        "used": 0,
        "usage_limit": 9,
        "codes": 0,
        "archive_time": None,
    }
    everything = [json.loads(line) for line in mercato("export", "--archived").stdout.splitlines()]
    assert len(everything) == 102
    assert [line["id"] for line in everything if line["archive_time"]] == [str(made[50].id)]


async def test_a_command_that_cannot_be_served_says_why_and_writes_nothing(mercato: Mercato, pool: "Pool") -> None:
    free, absent = await make(pool, needs_code=False), str(uuid4())
    for arguments, said in (
        (("create-codes", absent, "--count", "1"), f"promotion {absent} does not exist"),
        (("export-codes", absent), f"promotion {absent} does not exist"),
        (("create-codes", str(free.id), "--count", "1"), "the promotion needs no code"),
        (("create-codes", str(free.id), "--count", "10001", "--prefix", "a b"), "count: must be from 1 to 10000; prefix: must have only"),
    ):
        done = mercato(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"mercato: {said}"), done.stderr
        assert done.stderr.count("\n") == 1
    assert mercato("export-codes", "1").returncode == 2
    assert await pool.fetchval("SELECT count(*) FROM promotion_codes") == 0
