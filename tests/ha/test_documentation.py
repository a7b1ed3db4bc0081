"""The commands of docs/high-availability.md do what it says, on a cluster with its settings."""

import asyncio
import os
import subprocess
from collections.abc import Sequence

from faults.buyers import Goods
from faults.conftest import Scale
from ha import documentation, patroni
from ha.cluster import Cluster
from ha.programs import PATRONI
from mercato_server.config.settings import Limits, child_environ
from mercato_server.database.session_settings import session_settings
from support import needs
from support.patience import patient

DEAD_S = 30.0
"""After this time a standby that may be promoted would be the leader: `ttl` and a round of Patroni."""


async def run(cluster: Cluster, commands: Sequence[str], **environ: str) -> str:
    """Run commands in a shell that stops at the first failure; return their output."""
    path = {"PATH": f"{PATRONI.parent}:{os.environ['PATH']}"}
    script = "set -e\n" + "\n".join(commands)
    done = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", script],
        env=child_environ(path | environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(),
    )
    assert done.returncode == 0, done
    return str(done.stdout)


async def test_the_commands_of_an_operator(cluster: Cluster, goods: Goods) -> None:
    before = await cluster.settled()
    file = before.node.patroni_file

    def documented(first: str) -> list[str]:
        return documentation.commands(first, cluster.network, file)

    listed = await run(cluster, documented("patronictl -c /etc/patroni.yml list"))
    for node in cluster.nodes:
        assert node.host in listed
    for role in ("Leader", "Sync Standby", "Replica"):
        assert role in listed
    await run(cluster, documented("patronictl -c /etc/patroni.yml switchover"))
    after = await cluster.leader(after=before.timeline)
    assert after.node is not before.node
    await cluster.settled()
    await run(cluster, documented("mercato verify"), DATABASE_URL=goods.database_url)
    relaxed = documented("patronictl -c /etc/patroni.yml edit-config")
    assert await patroni.setting(after.node.host, "synchronous_mode_strict") is True
    await run(cluster, relaxed)
    assert await patroni.setting(after.node.host, "synchronous_mode_strict") is False
    await run(cluster, [line.replace("=false", "=true") for line in relaxed])


async def test_the_url_of_the_workers_reaches_the_primary(cluster: Cluster, goods: Goods) -> None:
    [line] = documentation.commands("DATABASE_URL=", cluster.network, cluster.nodes[0].patroni_file)
    url = line.removeprefix("DATABASE_URL='").removesuffix("'")
    assert url == cluster.url("mercato")


async def test_pgbouncer_drops_all_parameters_that_workers_send() -> None:
    [settings] = documentation.blocks("ini")
    [line] = [line for line in settings.splitlines() if line.startswith("ignore_startup_parameters")]
    assert set(session_settings(Limits())) <= set(line.partition(" = ")[2].split(", "))


async def test_the_third_machine_leads_only_if_an_operator_says_so(cluster: Cluster, goods: Goods, scale: Scale) -> None:
    if not scale(0, 1):
        needs.SOAK.skip()
    before = await cluster.settled()
    synchronous = await patroni.synchronous_standby(before.node.host)
    [third] = [node for node in cluster.nodes if node is not before.node and node.name != synchronous]
    for node in cluster.nodes:
        if node is not third:
            await node.kill()
    await asyncio.sleep(DEAD_S)
    assert await patroni.led_timeline(third.host) == 0
    commands = documentation.commands("patronictl -c /etc/patroni.yml failover", cluster.network, third.patroni_file)
    await run(cluster, [line.replace("node3", third.name) for line in commands])
    assert (await cluster.leader(after=before.timeline)).node is third
    await cluster.revive()
    await cluster.settled()
