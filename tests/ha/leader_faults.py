"""Faults of a cluster's leader."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from ha.cluster import Cluster
from ha.node import Node

MACHINE_S, PROCESS_S = 30.0, 5.0
"""The longest time without an acknowledged order after the death of a machine, and of a process."""
SILENCE_S = 1.5

Strike = Callable[[Cluster, Node], AbstractAsyncContextManager[None]]
"""Lets the fault begin; it lasts until the end of the block, or until the machine is started again."""


@asynccontextmanager
async def machine_dies(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """All processes of the leader's machine are killed."""
    await leader.kill()
    yield


@asynccontextmanager
async def machine_dies_after_silence(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """For a moment no standby receives what the leader writes; then the leader's machine dies, and no standby has it."""
    leader.silence_replication()
    await asyncio.sleep(SILENCE_S)
    await leader.kill()
    yield


@asynccontextmanager
async def postmaster_dies(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """The postmaster of the leader is killed."""
    leader.kill_postmaster()
    yield


@asynccontextmanager
async def leader_hands_over(cluster: Cluster, _: Node) -> AsyncIterator[None]:
    """An operator switches over."""
    await cluster.switch_over()
    yield


@asynccontextmanager
async def leader_is_cut_off(_: Cluster, leader: Node) -> AsyncIterator[None]:
    """The leader's machine neither answers nor closes a connection, and comes back when the shop has another leader."""
    with leader.frozen():
        yield


@dataclass(frozen=True)
class Fault:
    """A fault, how often it happens in `make soak`, and how long the shop may then take no order."""

    name: str
    strike: Strike
    bound_s: float
    times: int
    is_met_by_new_workers: bool = False
    """Whether workers start anew before each, so that the URL of one begins with the leader."""


MACHINE = Fault("machine killed", machine_dies, MACHINE_S, 20)
SILENCE = Fault("replication silent then machine killed", machine_dies_after_silence, MACHINE_S, 10)
POSTMASTER = Fault("postmaster killed", postmaster_dies, PROCESS_S, 10)
SWITCHOVER = Fault("switchover", leader_hands_over, PROCESS_S, 10)
FREEZE = Fault("leader frozen", leader_is_cut_off, MACHINE_S, 5, is_met_by_new_workers=True)
