"""Uses of promotions: their limits hold while buyers race, and a cancelled order gives its use back once."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from mercato_server.config.settings import Settings
from mercato_server.database.pool import Conn, Pool, create_pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Actor, ActorKind
from mercato_server.domain.promotion_codes import CodeBatch, CodeDraft
from mercato_server.domain.promotion_drafts import PromotionDraft, StoredPromotion
from mercato_server.domain.promotion_errors import UseLimit
from mercato_server.domain.promotions import Promotion, PromotionKind
from mercato_server.domain.redemptions import CodeUses, PromotionUses, Redemption, Subjects, Uses, UsesLeft, subjects
from mercato_server.store import promotion_codes, promotions, redemptions
from mercato_server.store.verify import verify
from support.patience import until

JO = "email:f4e19df2e6c609fbd59a42b9063d0fad"
"""The first half of `sha256sum` of jo@example.com."""
BOSS = Actor(ActorKind.ADMINISTRATOR, uuid4())
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
CHANCE = random.Random()  # noqa: S311 - no secret
_numbers = itertools.count(1)


async def make(pool: "Pool", **fields: Any) -> StoredPromotion:
    """Create a promotion of 1 %."""
    values = {"name": "Sale", "kind": PromotionKind.PERCENT, "percent_ppm": 10_000, "needs_code": True, **fields}
    made = await promotions.create(pool, PromotionDraft(**values), BOSS)
    assert isinstance(made, StoredPromotion)
    return made


async def make_code(pool: "Pool", promotion: StoredPromotion, code: str, usage_limit: int | None = None) -> str:
    """Create a code; return its folded form."""
    await promotion_codes.create(pool, promotion.id, CodeDraft(code, code.lower(), usage_limit), BOSS)
    return code.lower()


def rule(promotion: StoredPromotion) -> Promotion:
    return promotion.draft.promotion(promotion.id)


def buyer() -> Subjects:
    """Return the subjects of a new buyer."""
    return subjects(uuid4(), f"buyer-{next(_numbers)}@example.com")


async def buy(
    conn: "Conn", promotion: Promotion, buyers: Sequence[Subjects], codes: Sequence[str | None] = (None,)
) -> list[Redemption | None]:
    """Let buyers use a promotion, each with the next of the codes in turn, as a checkout does within its transaction."""
    uses = await redemptions.lock(conn, [promotion.id], {code for code in codes if code}, {each for one in buyers for each in one})
    left, results = UsesLeft(uses), list[Redemption | None]()
    for one, code in zip(buyers, itertools.cycle(codes)):
        if left.may(promotion, code, one):
            left.take(promotion, code, one)
            results.append(Redemption(uuid4(), promotion.id, code, 7, one))
        else:
            results.append(None)
    if not await redemptions.redeem(conn, [result for result in results if result], uses, "USD"):
        return [None] * len(buyers)
    return results


async def bought(pool: "Pool", promotion: Promotion, buyers: Sequence[Subjects], codes: Sequence[str | None] = (None,)) -> list[Redemption]:
    """Let buyers use a promotion in one transaction; return the redemptions."""
    async with transaction(pool) as conn:
        return [result for result in await buy(conn, promotion, buyers, codes) if result]


async def released(pool: "Pool", order_id: UUID) -> int:
    async with transaction(pool) as conn:
        return await redemptions.release(conn, [order_id])


async def change(pool: "Pool", promotion_id: UUID, **values: Any) -> None:
    await promotions.update(pool, promotions.Update(promotion_id=promotion_id, values=values, actor=BOSS))


async def uses_of_buyers(pool: "Pool", promotion_id: UUID) -> dict[str, int]:
    rows = await pool.fetch("SELECT subject, uses FROM promotion_buyers WHERE promotion_id = $1", promotion_id)
    return {row["subject"]: row["uses"] for row in rows}


async def sound(pool: "Pool") -> bool:
    async with pool.acquire() as conn:
        found = {finding.invariant.name for finding in await verify(conn) if finding.violations}
        return not found & {"promotions", "promotion codes", "promotion buyers"}  # these orders have redemptions, and no discounts


@asynccontextmanager
async def several(settings: Settings, count: int) -> AsyncIterator[list["Pool"]]:
    """Yield pools with connections of their own, as several workers have."""
    async with AsyncExitStack() as stack:
        pools = [await create_pool(settings) for _ in range(count)]
        for pool in pools:
            stack.callback(pool.terminate)
        yield pools


async def test_a_redemption_raises_every_counter_and_its_release_lowers_them_again(pool: "Pool") -> None:
    promotion = await make(pool, usage_limit=5, per_buyer_limit=2)
    code = await make_code(pool, promotion, "SUMMER", 3)
    one = subjects(UUID(int=1), "jo@example.com")
    [redemption] = await bought(pool, rule(promotion), [one], [code])

    row = await pool.fetchrow("SELECT * FROM promotion_redemptions")
    assert row is not None
    assert (row["order_id"], row["promotion_id"], row["code_folded"]) == (redemption.order_id, promotion.id, "summer")
    assert (row["amount_minor"], row["currency_code"], row["released_at"]) == (7, "USD", None)
    assert row["subjects"] == ["account:00000000-0000-0000-0000-000000000001", JO]
    assert (await promotions.get(pool, promotion.id)).used == 1
    assert await pool.fetchval("SELECT used FROM promotion_codes") == 1
    assert await uses_of_buyers(pool, promotion.id) == dict.fromkeys(row["subjects"], 1)
    assert await sound(pool)

    assert [await released(pool, redemption.order_id) for _ in range(3)] == [1, 0, 0]
    assert (await promotions.get(pool, promotion.id)).used == 0
    assert await pool.fetchval("SELECT used FROM promotion_codes") == 0
    assert await uses_of_buyers(pool, promotion.id) == dict.fromkeys(row["subjects"], 0)
    assert await pool.fetchval("SELECT released_at IS NOT NULL FROM promotion_redemptions")
    assert await sound(pool)


async def test_uses_without_limits_are_counted_too_but_not_by_buyer(pool: "Pool") -> None:
    promotion = await make(pool)
    code = await make_code(pool, promotion, "SUMMER")
    first, second = await bought(pool, rule(promotion), [buyer(), buyer()], [code, None])
    assert (await promotions.get(pool, promotion.id)).used == 2
    assert await pool.fetchval("SELECT used FROM promotion_codes") == 1
    assert await uses_of_buyers(pool, promotion.id) == {}
    for redemption in (first, second):
        await released(pool, redemption.order_id)
    assert (await promotions.get(pool, promotion.id)).used == 0
    assert await sound(pool)


async def test_codes_are_found_in_every_spelling_while_they_and_their_promotion_are_live(pool: "Pool") -> None:
    promotion, other = await make(pool), await make(pool)
    await promotion_codes.create(pool, promotion.id, CodeDraft("Straße", "strasse", 4), BOSS)
    await make_code(pool, promotion, "GONE")
    await make_code(pool, other, "OTHER")
    await promotion_codes.archive(pool, promotion.id, "gone", BOSS)
    await promotions.archive(pool, other.id, (), BOSS)
    async with pool.acquire() as conn:
        found = await redemptions.resolve(conn, [" STRASSE ", "ｓｔｒａßｅ", "gone", "other", "none", ""])
    assert found == {"strasse": CodeUses(promotion.id, 4, 0)}


async def test_what_is_archived_or_not_limited_is_not_locked(pool: "Pool", settings: Settings) -> None:
    free, limited, gone = await make(pool), await make(pool, usage_limit=1), await make(pool, per_buyer_limit=1)
    codes = [await make_code(pool, free, code, limit) for code, limit in (("A", None), ("B", 1), ("C", 1))]
    await promotions.archive(pool, gone.id, (), BOSS)
    await promotion_codes.archive(pool, free.id, "C", BOSS)
    async with several(settings, 1) as [other], transaction(pool) as conn:
        uses = await redemptions.lock(conn, [free.id, limited.id, gone.id], codes, buyer())
        assert uses == Uses({limited.id: PromotionUses(1, None, 0)}, {"b": CodeUses(free.id, 1, 0)}, {})
        unlocked = "SELECT array_agg({0} ORDER BY {0}) FROM (SELECT {0} FROM {1} FOR UPDATE SKIP LOCKED) AS row"
        assert await other.fetchval(unlocked.format("id", "promotions")) == sorted([free.id, gone.id])
        assert await other.fetchval(unlocked.format("code_folded", "promotion_codes")) == ["a", "c"]


async def test_a_lock_that_waited_returns_the_uses_that_were_written_meanwhile(pool: "Pool", settings: Settings) -> None:
    """The row of a buyer that the first transaction creates is not in the snapshot of the statement that waits."""
    promotion = await make(pool, usage_limit=5, per_buyer_limit=5)
    code = await make_code(pool, promotion, "SUMMER", 5)
    one = buyer()
    async with several(settings, 1) as [other]:
        async with transaction(pool) as conn:
            await buy(conn, rule(promotion), [one], [code])

            async def look() -> Uses:
                async with transaction(other) as waiting:
                    return await redemptions.lock(waiting, [promotion.id], [code], one)

            looking = asyncio.create_task(look())
            await until(partial(conn.fetchval, WAITS))
        uses = await looking
    assert uses.promotions == {promotion.id: PromotionUses(5, 5, 1)}
    assert uses.codes == {"summer": CodeUses(promotion.id, 5, 1)}
    assert uses.buyers == {(promotion.id, subject): 1 for subject in one}


@pytest.mark.race
async def test_a_limit_of_100_is_used_100_times_by_many_workers(pool: "Pool", settings: Settings, race_rounds: int) -> None:
    async with several(settings, 6) as pools:
        for _ in range(race_rounds):
            promotion = await make(pool, usage_limit=100)
            batches = [[buyer() for _ in range(CHANCE.randint(1, 6))] for _ in range(60)]
            assert sum(map(len, batches)) > 100
            results = await asyncio.gather(*(bought(pools[number % 6], rule(promotion), batch) for number, batch in enumerate(batches)))
            assert sum(map(len, results)) == 100
            assert (await promotions.get(pool, promotion.id)).used == 100
        assert await sound(pool)


@pytest.mark.race
async def test_single_use_codes_and_buyers_are_exact_while_orders_are_placed_and_cancelled(
    pool: "Pool", settings: Settings, race_rounds: int
) -> None:
    """Ten codes of two uses each, and eight persons of three uses each, who have two accounts with one e-mail."""
    async with several(settings, 6) as pools:
        for number in range(race_rounds):
            promotion = await make(pool, per_buyer_limit=3)
            codes = [await make_code(pool, promotion, f"C{number}-{each}", 2) for each in range(10)]
            people = [subjects(uuid4(), f"person-{number}-{each // 2}@example.com") for each in range(16)]

            async def trade(own: "Pool", promotion: StoredPromotion, codes: list[str], people: list[Subjects]) -> list[Redemption]:
                placed: list[Redemption] = []
                for _ in range(10):
                    batch = CHANCE.sample(people, 3)
                    placed += await bought(own, rule(promotion), batch, CHANCE.sample(codes, 3))
                    if placed and CHANCE.random() < 0.4:
                        assert await released(own, placed.pop(CHANCE.randrange(len(placed))).order_id) == 1
                return placed

            kept = await asyncio.gather(*(trade(own, promotion, codes, people) for own in pools))
            by_code, by_email = Counter[str | None](), Counter[str]()
            for redemption in itertools.chain(*kept):
                by_code[redemption.folded_code] += 1
                by_email[redemption.subjects[1]] += 1
            assert max(by_code.values()) <= 2
            assert max(by_email.values()) <= 3
            stored = await pool.fetch("SELECT code_folded, used FROM promotion_codes WHERE promotion_id = $1", promotion.id)
            assert {row["code_folded"]: row["used"] for row in stored if row["used"]} == by_code
            assert {
                name: uses for name, uses in (await uses_of_buyers(pool, promotion.id)).items() if uses and name.startswith("email:")
            } == by_email
            assert await sound(pool)


@pytest.mark.race
async def test_a_use_is_released_once_however_many_try(pool: "Pool", settings: Settings, race_rounds: int) -> None:
    promotion = await make(pool, usage_limit=race_rounds + 1, per_buyer_limit=race_rounds + 1)
    code = await make_code(pool, promotion, "SUMMER", race_rounds + 1)
    one = buyer()
    async with several(settings, 6) as pools:
        for _ in range(race_rounds):
            first, _second = await bought(pool, rule(promotion), [one, one], [code])
            counts = await asyncio.gather(*(released(own, first.order_id) for own in pools for _ in range(3)))
            assert sorted(counts) == [0] * 17 + [1]
    assert (await promotions.get(pool, promotion.id)).used == race_rounds
    assert await uses_of_buyers(pool, promotion.id) == dict.fromkeys(one, race_rounds)
    assert await sound(pool)


@dataclass(frozen=True)
class Market:
    """Promotions of every kind of limit, each with a limited code and one without a limit, and buyers of them."""

    made: list[StoredPromotion]
    codes: dict[UUID, list[str]]
    people: list[Subjects]

    @classmethod
    async def open(cls, pool: "Pool") -> "Market":
        made = [await make(pool, usage_limit=limit, per_buyer_limit=most) for limit, most in ((60, None), (None, 4), (None, None), (50, 5))]
        codes = {each.id: [await make_code(pool, each, f"M{next(_numbers)}", limit) for limit in (9, None)] for each in made}
        return cls(made, codes, [buyer() for _ in range(6)])

    async def order(self, pool: "Pool") -> UUID | None:
        """Place an order that uses two promotions, if their limits allow it; return its id."""
        order_id, person = uuid4(), CHANCE.choice(self.people)
        chosen = {each: CHANCE.choice([None, *self.codes[each.id]]) for each in CHANCE.sample(self.made, 2)}
        async with transaction(pool) as conn:
            uses = await redemptions.lock(conn, [each.id for each in chosen], [code for code in chosen.values() if code], person)
            left = UsesLeft(uses)
            # The limits are those of the locked rows: the promotions here may be older.
            given = {
                each: code
                for each, code in chosen.items()
                if left.may(rule(each)._replace(usage_limit=None, per_buyer_limit=None), code, person)
            }
            wanted = [Redemption(order_id, each.id, code, 1, person) for each, code in given.items()]
            return order_id if wanted and await redemptions.redeem(conn, wanted, uses, "USD") else None

    async def trade(self, pool: "Pool", rounds: int) -> int:
        """Place orders and cancel some of them; return how many stay."""
        placed: list[UUID] = []
        for _ in range(rounds):
            if order_id := await retry_conflicts(self.order)(pool):
                placed.append(order_id)
            if placed and CHANCE.random() < 0.3:
                await retry_conflicts(released)(pool, placed.pop())
        return len(placed)


@pytest.mark.race
async def test_orders_with_and_without_limits_never_deadlock(pool: "Pool", settings: Settings, race_rounds: int) -> None:
    async with several(settings, 6) as pools:
        for _ in range(race_rounds):
            market = await Market.open(pool)
            kept = await asyncio.gather(*(market.trade(own, 15) for own in pools))
            assert sum(kept) > 10
        assert await sound(pool)
        await pool.execute("SELECT pg_stat_force_next_flush()")
        assert await pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


@pytest.mark.race
async def test_counters_stay_right_while_limits_come_and_go(pool: "Pool", settings: Settings, race_rounds: int) -> None:
    """A promotion that gets its first limit moves to another place in the lock order: a deadlock of that moment is tried again."""
    async with several(settings, 5) as pools:
        for _ in range(race_rounds):
            market = await Market.open(pool)

            async def administrate(market: Market) -> None:
                for promotion in market.made * 5:
                    used = (await promotions.get(pools[4], promotion.id)).used
                    values: list[dict[str, int | None]] = [
                        {"usage_limit": used + 30},
                        {"usage_limit": None},
                        {"per_buyer_limit": 5},
                        {"per_buyer_limit": None},
                    ]
                    await change(pools[4], promotion.id, **CHANCE.choice(values))

            await asyncio.gather(*(market.trade(own, 15) for own in pools[:4]), administrate(market))
            assert await sound(pool)


async def test_a_redemption_is_refused_if_its_promotion_or_code_was_archived_or_limited_since(pool: "Pool", settings: Settings) -> None:
    later: list[Callable[[Pool], Awaitable[object]]] = [
        lambda own: change(own, promotion.id, usage_limit=1),
        lambda own: change(own, promotion.id, per_buyer_limit=1),
        lambda own: promotions.archive(own, promotion.id, (), BOSS),
        lambda own: promotion_codes.archive(own, promotion.id, "summer", BOSS),
    ]
    promotion = await make(pool)
    code = await make_code(pool, promotion, "SUMMER")
    async with several(settings, 1) as [other]:
        for act in later:
            await pool.execute("UPDATE promotions SET usage_limit = NULL, per_buyer_limit = NULL, archived_at = NULL")
            await pool.execute("UPDATE promotion_codes SET archived_at = NULL")
            async with transaction(pool) as conn:
                uses = await redemptions.lock(conn, [promotion.id], [code], buyer())
                await act(other)
                assert not await redemptions.redeem(conn, [Redemption(uuid4(), promotion.id, code, 1, buyer())], uses, "USD")
    assert (await promotions.get(pool, promotion.id)).used == 0
    assert await pool.fetchval("SELECT count(*) FROM promotion_redemptions") == 0
    assert await sound(pool)


async def test_a_release_that_waits_for_a_first_limit_of_buyers_lowers_what_it_counted(pool: "Pool", settings: Settings) -> None:
    """The change counts the use while the release waits, in rows that the release's snapshot does not have."""
    promotion = await make(pool)
    one, two = buyer(), buyer()
    cancelled, _kept = await bought(pool, rule(promotion), [one, two])
    async with several(settings, 1) as [other]:
        async with transaction(pool) as conn:
            await conn.fetchrow(promotions.LOCK_PROMOTION, promotion.id)
            releasing = asyncio.create_task(released(other, cancelled.order_id))
            await until(partial(conn.fetchval, WAITS))
            await conn.execute(promotions.COUNT_BUYERS, promotion.id)
            await conn.execute("UPDATE promotions SET per_buyer_limit = 3 WHERE id = $1", promotion.id)
        assert await releasing == 1
    assert await uses_of_buyers(pool, promotion.id) == dict.fromkeys(one, 0) | dict.fromkeys(two, 1)
    assert await sound(pool)


async def test_a_first_limit_of_buyers_counts_their_past_uses_and_the_last_one_forgets_them(pool: "Pool") -> None:
    promotion = await make(pool)
    one, two = buyer(), buyer()
    first, *_ = await bought(pool, rule(promotion), [one, one, two, one])
    await released(pool, first.order_id)
    await change(pool, promotion.id, per_buyer_limit=2)
    assert await uses_of_buyers(pool, promotion.id) == dict.fromkeys(one, 2) | dict.fromkeys(two, 1)
    assert await sound(pool)
    limited = rule(await promotions.get(pool, promotion.id))
    assert len(await bought(pool, limited, [one, two, two])) == 1
    await change(pool, promotion.id, per_buyer_limit=1)
    assert await bought(pool, limited, [one, two]) == []
    await change(pool, promotion.id, per_buyer_limit=None)
    assert await uses_of_buyers(pool, promotion.id) == {}
    assert len(await bought(pool, rule(promotion), [one, two])) == 2
    assert await sound(pool)


async def test_the_table_itself_refuses_a_use_too_many(pool: "Pool") -> None:
    promotion = await make(pool, usage_limit=1)
    code = await make_code(pool, promotion, "SUMMER", 1)
    await bought(pool, rule(promotion), [buyer()], [code])

    async def cheat(promotion_id: UUID, folded_code: str | None) -> None:
        async with transaction(pool) as conn:
            uses = await redemptions.lock(conn, [promotion.id], [code], buyer())
            await redemptions.redeem(conn, [Redemption(uuid4(), promotion_id, folded_code, 1, buyer())], uses, "USD")

    with pytest.raises(asyncpg.CheckViolationError, match="promotions_usage_check"):
        await cheat(promotion.id, None)
    await change(pool, promotion.id, usage_limit=5)
    with pytest.raises(asyncpg.CheckViolationError, match="promotion_codes_usage_check"):
        await cheat(promotion.id, code)
    assert await sound(pool)


async def test_a_batch_takes_a_fixed_number_of_statements(settings: Settings) -> None:
    pool = await create_pool(replace(settings, pool_size=1))
    promotion = await make(pool, usage_limit=500, per_buyer_limit=5)
    await promotion_codes.generate(pool, promotion.id, CodeBatch(count=200), BOSS)
    codes = [row["code_folded"] for row in await pool.fetch("SELECT code_folded FROM promotion_codes")]
    sent: list[str] = []

    async def count(codes: list[str]) -> int:
        async with transaction(pool) as conn:
            sent.clear()
            assert len(await redemptions.resolve(conn, codes)) == len(codes)
            assert all(await buy(conn, rule(promotion), [buyer() for _ in codes], codes))
            return len(sent)

    await count(codes[:1])  # asyncpg looks up the types of the first use
    async with pool.acquire() as conn:
        conn.add_query_logger(lambda query: sent.append(query.query))
    assert [await count(codes[1:2]), await count(codes[2:66])] == [3, 3]
    pool.terminate()


COUNT_READ = """
SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::integer
  FROM pg_stat_user_tables
 WHERE relname LIKE 'promotion%'
"""
COUNT_INDEXED = "SELECT sum(idx_tup_read)::integer FROM pg_stat_user_indexes WHERE relname LIKE 'promotion%'"
GROW = """
INSERT INTO promotion_codes (code_folded, code, promotion_id) SELECT 'x' || n, 'X' || n, $1 FROM generate_series(1, 20000) n
"""
GROW_BUYERS = "INSERT INTO promotion_buyers (promotion_id, subject, uses) SELECT $1, 'account:' || n, 0 FROM generate_series(1, 20000) n"


async def test_plans_that_were_made_for_few_codes_read_few_when_there_are_many(settings: Settings, database: str) -> None:
    pool = await create_pool(replace(settings, pool_size=1))  # one connection, because its cached plans are tested
    other = await asyncpg.connect(database)
    promotion = await make(pool, usage_limit=500, per_buyer_limit=5)
    codes = [await make_code(pool, promotion, f"C{number}", 500) for number in range(3)]
    await other.execute("ANALYZE")

    async def trade() -> None:
        async with transaction(pool) as conn:
            await redemptions.resolve(conn, codes)
        placed = await bought(pool, rule(promotion), [buyer() for _ in range(3)], codes)
        for redemption in placed:
            await released(pool, redemption.order_id)

    async def count() -> int:
        for each in (pool, other):
            await each.execute("SELECT pg_stat_force_next_flush()")
        return int(max(await other.fetchval(COUNT_READ), await other.fetchval(COUNT_INDEXED)))

    await trade()
    await other.execute(GROW, promotion.id)
    await other.execute(GROW_BUYERS, promotion.id)
    before = await count()
    await trade()
    assert await count() - before < 300
    await other.close()
    pool.terminate()


def test_uses_left_name_the_limit_that_is_reached() -> None:
    promotion = Promotion(UUID(int=1), "Sale", PromotionKind.PERCENT, percent_ppm=1, usage_limit=3, per_buyer_limit=2)
    code = {"summer": CodeUses(promotion.id, 2, 0)}
    left = UsesLeft(Uses({promotion.id: PromotionUses(3, 2, 0)}, code, {(promotion.id, "email:jo@example.com"): 1}))
    jo, home, other = ("account:1", "email:jo@example.com"), ("account:2", "email:jo@example.com"), ("account:1", "email:other@example.com")

    def used(who: Collection[str], code: str | None = None) -> UseLimit | None:
        limit = left.exhausted(promotion, code, tuple(who))
        assert left.may(promotion, code, tuple(who)) == (limit is None)
        if limit is None:
            left.take(promotion, code, tuple(who))
        return limit

    assert used(jo, "summer") is None
    assert used(home) is UseLimit.BUYER  # the same e-mail
    assert used(other, "summer") is None
    assert used(("account:3",), "summer") is UseLimit.CODE
    assert used(other) is UseLimit.BUYER  # the same account
    assert used(("account:3",)) is None
    assert used(("account:4",)) is UseLimit.PROMOTION


def test_a_limited_promotion_that_is_not_locked_has_no_use_left_and_an_unlimited_one_has() -> None:
    promotion = Promotion(UUID(int=1), "Sale", PromotionKind.PERCENT, percent_ppm=1)
    left = UsesLeft(Uses())
    assert left.may(promotion, "summer", ("account:1",))
    assert left.exhausted(promotion._replace(per_buyer_limit=1), None, ("account:1",)) is UseLimit.PROMOTION


def test_a_buyer_is_counted_by_account_and_by_email() -> None:
    account_id = UUID("01a2054f-b78e-7ca7-bbfe-64adff10e591")
    assert list(subjects(account_id, "jo@example.com")) == ["account:01a2054f-b78e-7ca7-bbfe-64adff10e591", JO]
    assert list(subjects(account_id, None)) == ["account:01a2054f-b78e-7ca7-bbfe-64adff10e591"]
