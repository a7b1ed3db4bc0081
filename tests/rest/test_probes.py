"""Probes over HTTP at the edge: /livez and /readyz."""

import pytest

from embedded.watch import children
from faults.processes import stopped
from support.mercato_up import Up
from support.patience import until_sync
from support.rest_client import Client


def database(anyone: Client) -> str:
    """Return what /readyz says of the database."""
    return str(anyone.get("/readyz").json["statuses"]["database"]["status"])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/readyz/"])
def test_a_probe_needs_no_token_and_is_not_kept(anyone: Client, path: str) -> None:
    probe = anyone.get(path)
    assert (probe.status, probe.headers["content-type"], probe.headers["cache-control"]) == (200, "application/json", "no-store")


def test_a_shop_is_alive_and_ready_while_its_database_hangs_and_says_that_it_does(shop_up: Up, anyone: Client) -> None:
    until_sync(lambda: database(anyone) == "SERVING", "the database answers")
    postmaster = int((shop_up.data_dir / "postgres/postmaster.pid").read_text().splitlines()[0])
    with stopped({postmaster, *children(postmaster)}):
        until_sync(lambda: database(anyone) == "NOT_SERVING", "the worker notices that the database hangs")
        ready = anyone.get("/readyz")
        assert (ready.status, ready.json["statuses"][""]["status"]) == (200, "SERVING")
        assert anyone.get("/livez").json == {"status": "SERVING"}
        assert anyone.get("/healthz").status == 200
    until_sync(lambda: database(anyone) == "SERVING", "the worker notices that the database answers again")
