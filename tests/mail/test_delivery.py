"""Mail is delivered although the SMTP server is down, refuses, stalls or needs TLS, jobs run again, or the database fails."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import grpc
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mercato.v1 import auth_pb2, user_pb2
from mercato_server.config.mail_settings import SmtpServer
from mercato_server.config.settings import Limits, Settings
from mercato_server.database import migrations
from mercato_server.database.pool import Pool, create_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import mails
from mercato_server.worker import running
from support import patience
from support.mail_server import PASSWORD, USER, PostOffice, token
from support.shop import Shop

AGAIN = "INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, 'mail', uuid_send(id), 'queued' FROM mails"
STATUS = "SELECT status::text, attempts FROM pgqueuer"


@asynccontextmanager
async def shop_of(settings: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    async with running(settings) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Shop(channel, pool)


async def until(pool: "Pool", query: str, value: object) -> None:
    """Return once a query gives a value."""

    async def has_value() -> bool:
        return bool(await pool.fetchval(query) == value)

    await patience.until(has_value, f"{query} gives {value!r}")


async def test_mail_waits_for_a_server_that_is_away(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    await post.stop()
    async with shop_of(mailing, pool) as shop:
        jo = await shop.person()
        await until(pool, "SELECT attempts >= 1 FROM pgqueuer", value=True)
        await until(pool, "SELECT failure IS NULL AND sent_at IS NULL AND leased_until IS NULL FROM mails", value=True)  # between tries
        await post.start()
        await post.mail(jo.email)
        await until(pool, "SELECT count(*) FROM pgqueuer", 0)
    assert len(post.taken) == 1


async def test_a_refusal_for_now_is_tried_again_and_one_for_ever_is_held(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    post.answers = {"later@example.com": "451 later", "never@example.com": "550 no such user never@example.com"}
    with structlog.testing.capture_logs() as logs:
        async with shop_of(mailing, pool) as shop:
            for address in post.answers:
                await shop.auth.SignUp(auth_pb2.SignUpRequest(email=address, password="securepass123"))
            await post.until_asked("later@example.com", times=2)
            del post.answers["later@example.com"]
            await post.mail("later@example.com")
            await until(pool, "SELECT string_agg(status::text, '') FROM pgqueuer", "failed")
            assert await mails.due(pool, 10) == []
            assert [tuple(row) for row in await pool.fetch(STATUS)] == [("failed", 0)]
    assert post.asked.count("never@example.com") == 1
    mail_id, failure = await pool.fetchrow("SELECT id::text, failure FROM mails WHERE address = 'never@example.com'") or (None, None)
    assert failure == "the recipient was refused with 550"
    [error] = [entry for entry in logs if entry["log_level"] == "error"]
    assert (error["mail"], error["reason"]) == (mail_id, failure)
    text = str(logs)
    assert "mot_" not in text
    assert "@example.com" not in text


async def test_a_held_mail_is_sent_when_its_job_is_queued_again(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    post.answers = {"jo@example.com": "550 full"}
    async with shop_of(mailing, pool) as shop:
        await shop.auth.SignUp(auth_pb2.SignUpRequest(email="jo@example.com", password="securepass123"))
        await until(pool, "SELECT status::text FROM pgqueuer", "failed")
        post.answers.clear()
        await pool.execute("UPDATE pgqueuer SET status = 'queued', execute_after = now() WHERE status = 'failed'")
        await post.mail("jo@example.com")
        await until(pool, "SELECT count(*) FROM pgqueuer", 0)
    assert await pool.fetchval("SELECT failure IS NULL AND sent_at IS NOT NULL FROM mails")


UNRECORDED = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'going away' USING ERRCODE = 'admin_shutdown'; END $$;
CREATE TRIGGER fail BEFORE UPDATE ON mails FOR EACH ROW WHEN (new.sent_at IS NOT NULL) EXECUTE FUNCTION fail()
"""


async def test_a_mail_that_was_sent_but_not_recorded_keeps_its_lease(
    mailing: Settings, pool: "Pool", post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mercato_server.mail.delivery.RECORD_TRIES", 2)
    await pool.execute(UNRECORDED)
    async with shop_of(mailing, pool) as shop:
        jo = await shop.person()
        await post.mail(jo.email)
        await until(pool, "SELECT attempts >= 1 AND status = 'queued' FROM pgqueuer", value=True)
        assert await pool.fetchval("SELECT failure IS NULL AND leased_until > now() FROM mails")


async def test_a_job_held_by_an_accident_goes_on(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    await post.stop()
    async with shop_of(mailing, pool) as shop:
        jo = await shop.person()
        await until(pool, "SELECT attempts >= 1 FROM pgqueuer", value=True)
    await pool.execute("UPDATE pgqueuer SET status = 'failed'")
    await post.start()
    async with running(mailing):
        await post.mail(jo.email)


async def test_a_mail_whose_job_is_lost_is_sent_all_the_same(mailing: Settings, pool: "Pool", post: PostOffice, shop: Shop) -> None:
    jo = await shop.person()
    await pool.execute("DELETE FROM pgqueuer")
    async with running(mailing):
        await post.mail(jo.email)


async def test_a_mail_of_a_template_that_a_later_release_writes_is_left_alone(
    mailing: Settings, pool: "Pool", post: PostOffice, shop: Shop
) -> None:
    jo = await shop.person()
    await pool.execute("ALTER TABLE mails DROP CONSTRAINT mails_template_check")
    await pool.execute("UPDATE mails SET template = 'welcome'")
    async with running(mailing):
        await until(pool, "SELECT attempts >= 1 FROM pgqueuer", value=True)
        ann = await shop.person()
        await post.mail(ann.email)
    assert await pool.fetchval("SELECT failure IS NULL AND sent_at IS NULL AND dropped_at IS NULL FROM mails WHERE address = $1", jo.email)
    assert (
        await pool.fetchval("SELECT status::text FROM pgqueuer JOIN mails ON payload = uuid_send(mails.id) WHERE template = 'welcome'")
        == "queued"
    )


async def test_a_job_that_runs_again_sends_nothing_again(sending: Shop, post: PostOffice) -> None:
    jo = await sending.person()
    await post.mail(jo.email)
    for _ in range(5):
        await sending.pool.execute(AGAIN)
    await until(sending.pool, "SELECT count(*) FROM pgqueuer", 0)
    assert len(post.taken) == 1
    assert await sending.pool.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_jobs_of_the_same_mail_at_once_send_it_once(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    post.open.clear()
    async with shop_of(mailing, pool) as shop, shop_of(mailing, pool):
        jo = await shop.person()
        for _ in range(6):
            await pool.execute(AGAIN)
        await until(pool, "SELECT count(*) > 1 FROM pgqueuer_log WHERE status = 'picked'", value=True)
        await post.until_asked(jo.email)
        post.open.set()
        await post.mail(jo.email)
        await until(pool, "SELECT sent_at IS NOT NULL FROM mails", value=True)

        async def settled() -> bool:
            await pool.execute("UPDATE pgqueuer SET execute_after = now() WHERE status = 'queued'")  # before the lease would end
            return not await pool.fetchval("SELECT count(*) FROM pgqueuer")

        await patience.until(settled)
    assert post.asked == [jo.email]


async def test_a_worker_that_stops_leaves_a_stalled_mail_to_another(
    mailing: Settings, pool: "Pool", post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mercato_server.jobs.runner.LAST_S", patience.patient())
    post.open.clear()
    endless = replace(mailing, limits=Limits(mail_timeout_s=3600))
    async with asyncio.timeout(2 * patience.patient()):  # a stop that waited for the mail would take longer
        async with shop_of(endless, pool) as shop:
            jo = await shop.person()
            await post.until_asked(jo.email)
    assert [row["status"] for row in await pool.fetch(STATUS)] == ["queued"]
    post.taken.clear()
    post.open.set()
    async with running(mailing):
        await until(pool, "SELECT count(*) FROM pgqueuer", 0)
    assert post.asked == [jo.email] * 2


async def test_a_server_that_stalls_costs_its_mail_some_time_and_calls_nothing(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    post.open.clear()
    limits = Limits(mail_timeout_s=0.5)
    async with shop_of(replace(mailing, limits=limits), pool) as shop:
        jo = await shop.person()
        await post.until_asked(jo.email, times=2)
        assert (await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=jo.metadata)).id == jo.id
        post.open.set()
        await until(pool, "SELECT count(*) FROM pgqueuer", 0)
    assert len({mail["Message-ID"] for mail in post.taken}) == 1


async def test_mail_that_is_too_old_is_not_sent(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    await post.stop()
    async with shop_of(mailing, pool) as shop:
        await shop.person()
        await until(pool, "SELECT attempts >= 1 FROM pgqueuer", value=True)
    await pool.execute("UPDATE mails SET created_at = now() - interval '25 hours'")
    await post.start()
    async with running(mailing):
        await until(pool, "SELECT status::text FROM pgqueuer", "failed")
    assert post.asked == []


async def test_mail_goes_on_when_the_database_is_back(settings: Settings, own_postgres: Postgres, post: PostOffice) -> None:
    await migrations.migrate(own_postgres.url())
    own = replace(settings, database_url=own_postgres.url(), mail=post.settings())
    pool = await create_pool(own)
    async with shop_of(own, pool) as shop:
        await post.mail((await shop.person()).email)
        await own_postgres.stop()
        await own_postgres.start()
        await post.mail((await patience.until(shop.person, despite=grpc.aio.AioRpcError)).email)
    pool.terminate()


async def test_a_worker_without_anywhere_for_mail_to_go_leaves_it_queued(shop: Shop) -> None:
    jo = await shop.person()
    await shop.auth.RequestPasswordReset(auth_pb2.RequestPasswordResetRequest(email=jo.email))
    assert await shop.pool.fetchval("SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND attempts = 0") == 2


async def test_a_directory_gets_a_file_for_each_mail_that_only_its_user_can_read(
    settings: Settings, pool: "Pool", post: PostOffice, tmp_path: Path
) -> None:
    directory = tmp_path / "mail"
    async with shop_of(replace(settings, mail=post.settings(smtp=None, directory=str(directory))), pool) as shop:
        await shop.person()
        await until(pool, "SELECT sent_at IS NOT NULL FROM mails", value=True)
    [path] = directory.iterdir()
    mail_id = await pool.fetchval("SELECT id FROM mails")
    assert (path.name, stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(directory.stat().st_mode)) == (f"{mail_id}.eml", 0o600, 0o700)
    assert UUID(path.stem) == mail_id
    assert "mot_" in path.read_text()


async def test_links_lead_to_the_pages_of_the_shop(mailing: Settings, pool: "Pool", post: PostOffice) -> None:
    own = replace(mailing, mail=post.settings(public_url="https://shop.example.com"))
    async with shop_of(own, pool) as shop:
        jo = await shop.person()
        mail = await post.mail(jo.email)
    assert f"https://shop.example.com/verify-email?token={token(mail)}" in mail.as_string().replace("=\n", "").replace("=3D", "=")


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate of this host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / "cert.pem", directory / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


@pytest.mark.parametrize("trusted", [True, False])
async def test_mail_is_handed_in_by_tls_and_password_to_a_server_that_is_known(
    settings: Settings, pool: "Pool", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    post = PostOffice(context)
    await post.start()
    server = SmtpServer(host="localhost", port=post.port, security="starttls", username=USER, password=PASSWORD)
    async with shop_of(replace(settings, mail=post.settings(smtp=server)), pool) as shop:
        jo = await shop.person()
        if trusted:
            await post.mail(jo.email)
        else:
            await until(pool, "SELECT attempts >= 1 FROM pgqueuer", value=True)
            assert post.asked == []
    await post.stop()
