"""Every command with a DATABASE_URL of three servers: a silent one, a standby, and last the primary."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.test_cli import Mercato, mercato, refused  # noqa: F401 - a fixture
from mercato.v1 import catalog_pb2
from mercato_server.database.pool import create_pool
from mercato_server.embedded.postgres import Postgres
from support.clusters import cluster_directory
from support.shop import SECRET, settings_of, worker
from support.standbys import one_of, replicated, silent_server

CSV = "sku,name,price_minor,stock\nBALL,Ball,100,3\n"


@pytest.fixture
async def standby(own_postgres: Postgres) -> AsyncIterator[Postgres]:
    with cluster_directory() as directory:
        async with replicated(own_postgres, directory / "standby") as standby:
            yield standby


@pytest.fixture
async def url(own_postgres: Postgres, standby: Postgres) -> AsyncIterator[str]:
    async with silent_server() as port:
        silent = own_postgres.url().replace(str(own_postgres.run_dir), "127.0.0.1").replace("port=5432", f"port={port}")
        yield one_of(silent, standby.url(), own_postgres.url())


async def test_every_command_finds_the_primary(mercato: Mercato, url: str, own_postgres: Postgres, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "products.csv"
    file.write_text(CSV)
    commands = {
        ("migrate",): "applied 0001",
        ("admin", "create", "boss@example.com"): "created administrator",
        ("keys", "rotate", "--discard"): "",
        ("import", str(file)): "1",
        ("export",): "BALL",
        ("events",): "product.created",
        ("events", "--quarantined"): "",
        ("verify",): "",
    }
    for command, told in commands.items():
        done = mercato(*command, DATABASE_URL=url, SECRET_KEY=SECRET, MERCATO_ADMIN_PASSWORD="adminsecret1")
        assert done.returncode == 0, done
        assert told in done.stdout, done
    settings = settings_of(url)
    pool = await create_pool(settings)
    async with worker(settings, pool) as shop:
        listed = await shop.catalog.ListProducts(catalog_pb2.ListProductsRequest())
        assert [product.sku for product in listed.products] == ["BALL"]
    pool.terminate()


@pytest.mark.parametrize("command", ["serve", "migrate", "verify", "export", "events"])
async def test_a_standby_alone_is_refused_with_the_cure(mercato: Mercato, standby: Postgres, command: str) -> None:  # noqa: F811
    told = refused(mercato(command, DATABASE_URL=standby.url(), SECRET_KEY=SECRET))
    assert "it is a standby, which takes no orders; name the primary, or all servers with target_session_attrs=primary" in told
