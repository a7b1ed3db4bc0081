"""Shops whose mail goes to a real SMTP server."""

from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest

from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.worker import running
from support.mail_server import PostOffice
from support.shop import Shop


@pytest.fixture
async def post() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    await office.start()
    yield office
    await office.stop()


@pytest.fixture
def mailing(settings: Settings, post: PostOffice) -> Settings:
    """Settings of a worker whose mail goes to the post office."""
    return replace(settings, mail=post.settings())


@pytest.fixture
async def sending(mailing: Settings, pool: "Pool") -> AsyncIterator[Shop]:
    """A running worker that sends mail."""
    async with running(mailing) as (_, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Shop(channel, pool)
