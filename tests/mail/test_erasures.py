"""Mails of erased accounts: those that wait are not sent, and the job of one that is being sent ends."""

import asyncio
import uuid

import grpc

from mercato.v1 import auth_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.database.transactions import transaction
from mercato_server.domain.mails import Mail, Template
from mercato_server.store import belongings, erasure, mails
from mercato_server.store.erasure import Erasure
from mercato_server.worker import running
from support.mail_server import PostOffice
from support.packing import Packer
from support.patience import until
from support.shop import PASSWORD, Person, Shop

IS_WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
SETTLED = "SELECT count(*) = 0 FROM pgqueuer"


async def sign_up(shop: Shop, email: str) -> Person:
    """Sign up, which queues a mail, and return the person with a session."""
    user = await shop.auth.SignUp(auth_pb2.SignUpRequest(email=email, password=PASSWORD))
    login = await shop.auth.Login(auth_pb2.LoginRequest(email=email, password=PASSWORD))
    return Person(user.id, email, login.access_token)


async def cancelled_order(shop: Shop, admin: Person, buyer: Person) -> None:
    """Let a buyer place and cancel an order: the feed then owes two mails."""
    pack = Packer(shop, admin, buyer)
    await pack.cancel_order(await pack.placed(1))


async def test_no_mail_of_an_erased_account_is_sent(shop: Shop, mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    admin = await shop.person(admin=True)
    async with running(mailing):  # the consumer of the feed begins with the first worker that sends mail
        await post.mail(admin.email)
    jo = await sign_up(shop, "jo@example.com")
    await cancelled_order(shop, admin, jo)
    await erasure.erase(pool, Erasure(account_id=uuid.UUID(jo.id)))
    ann = await sign_up(shop, "ann@example.com")
    await cancelled_order(shop, admin, ann)
    async with running(mailing):
        for subject in ("confirm", "order", "cancelled"):  # the feed is read in order, so mails to Jo would have come before
            await post.mail(ann.email, subject)
        await until(lambda: pool.fetchval(SETTLED), "no job is left")
    assert jo.email not in post.asked
    assert await pool.fetchval("SELECT count(*) FROM mails WHERE address = $1", jo.email) == 0


async def test_the_job_of_a_mail_that_is_being_sent_ends(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    post.open.clear()
    async with running(mailing) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        shop = Shop(channel, pool)
        jo = await sign_up(shop, "jo@example.com")
        await post.until_asked(jo.email)
        await shop.auth.DeleteMe(auth_pb2.DeleteMeRequest(password=PASSWORD), metadata=jo.metadata)
        assert await pool.fetchval("SELECT count(*) FROM mails") == 0
        post.open.set()
        await until(lambda: pool.fetchval(SETTLED), "no job is left")
    assert await pool.fetchval("SELECT count(*) FROM one_time_tokens") == 0


async def test_a_token_is_not_made_for_a_mail_that_was_deleted(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    mail_id = await pool.fetchval("SELECT id FROM mails WHERE address = $1", jo.email)
    mail = await mails.lease(pool, mail_id, 30.0)
    assert isinstance(mail, Mail)
    assert mail.template is Template.VERIFY_EMAIL
    await erasure.erase(pool, Erasure(account_id=uuid.UUID(jo.id)))
    assert not await mails.issue_token(pool, mail, uuid.UUID(jo.id), b"a digest", 60.0)
    assert await pool.fetchval("SELECT count(*) FROM one_time_tokens") == 0


async def test_a_token_waits_for_an_erasure_without_a_deadlock(shop: Shop, pool: "Pool") -> None:
    jo = await shop.person()
    account_id = uuid.UUID(jo.id)
    mail = await mails.lease(pool, await pool.fetchval("SELECT id FROM mails WHERE address = $1", jo.email), 30.0)
    assert isinstance(mail, Mail)
    async with transaction(pool) as conn:
        await conn.execute("SELECT FROM accounts WHERE id = $1 FOR UPDATE", account_id)
        token = asyncio.create_task(mails.issue_token(pool, mail, account_id, b"a digest", 60.0))
        await until(lambda: pool.fetchval(IS_WAITING), "the token waits for the account")
        await belongings.remove(conn, [account_id])
    assert not await token
