"""The queue of password hashes: bounded, fair between callers, and with half of the turns for logins.

A caller is the network of a client, and also the account that the call is about. So neither many accounts of one client nor one account
from many networks get more than one share; the accounts of one network divide its share. Start-time fair queueing (Goyal, Vin and Cheng,
1996) decides whose turn it is: each lane has a virtual time, and a caller that was served is due again one unit later.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Lane(StrEnum):
    """Kinds of hashes. Lanes with waiting work take turns, whatever the number of their callers."""

    LOGIN = "login"
    CHANGE = "change"
    """Sign-ups and new passwords."""


class QueueFullError(Exception):
    """The lane has no place for this caller."""


@dataclass(slots=True, eq=False)
class Place:
    """The place of one call in the queue, which it keeps for all its hashes."""

    lane: Lane
    network: str
    account: str
    work: Any = None
    """The hash that the call waits for; None while it does something else."""
    since: float = 0.0
    """Virtual time at which the work arrived."""

    @property
    def callers(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Names of the two callers whose shares the work uses."""
        return ("network", self.network), ("account", self.account)


class HashQueue:
    """Places in two lanes, and the order of their work. It does no I/O."""

    def __init__(self, places_max: int) -> None:
        """Create the queue; each lane has `places_max` places."""
        self._lanes = {lane: _Lane(places_max) for lane in Lane}

    def enter(self, place: Place) -> Place | None:
        """Add a place. If its lane is full, return the place that it displaces, or raise QueueFullError.

        The displaced place is the youngest of the caller with the most places, if that caller keeps at least as many as the newcomer's.
        Within a network the same holds for its accounts.
        """
        return self._lanes[place.lane].enter(place)

    def leave(self, place: Place) -> None:
        """Remove a place with its work; without effect if it is not in the queue."""
        self._lanes[place.lane].places.pop(place, None)

    def next(self) -> Place | None:
        """Return the place whose work is due, or None. The caller takes the work and sets it to None."""
        for lane in sorted(Lane, key=lambda each: self._lanes[each].turn):
            if (due := self._lanes[lane].next()) is not None:
                self._lanes[lane].turn = 1 + max(each.turn for each in self._lanes.values())
                return due
        return None

    def add(self, place: Place, work: Any) -> None:
        """Let a place wait for a hash."""
        place.work, place.since = work, self._lanes[place.lane].now


class _Lane:
    """The places of one lane, in the order of their arrival."""

    def __init__(self, places_max: int) -> None:
        self._places_max = places_max
        self.places: dict[Place, None] = {}
        self.now = 0.0
        """Virtual time: a caller gets about one hash for each unit."""
        self.turn = 0
        """Number of the queue's last turn that this lane got."""
        self._due: dict[tuple[str, str], float] = {}
        """Virtual time at which a caller that was served lately is due again."""

    def enter(self, place: Place) -> Place | None:
        displaced = None
        if len(self.places) >= self._places_max:
            displaced = max(reversed(self.places), key=lambda each: (self._crowd(each), self._siblings(each)), default=None)
            if displaced is None or not self._yields(displaced, place):
                raise QueueFullError
            del self.places[displaced]
        self.places[place] = None
        return displaced

    def next(self) -> Place | None:
        waiting = [place for place in self.places if place.work is not None]
        if not waiting:
            return None
        due = min(waiting, key=self._when)  # of equals the first: places are in the order of their arrival
        when, _ = self._when(due)
        # With one caller the time follows its hashes; with many it passes at their common pace, so that new ones do not starve the others.
        self.now = max(self.now + 1 / len(waiting), when)
        self._due |= dict.fromkeys(due.callers, when + 1)
        present = {caller for place in waiting for caller in place.callers}
        self._due = {caller: at for caller, at in self._due.items() if at > self.now or caller in present}
        return due

    def _when(self, place: Place) -> tuple[float, float]:
        """Return the virtual time at which the work of a place is due, and that of its account, which decides within a network."""
        network, account = (self._due.get(caller, 0.0) for caller in place.callers)
        return max(place.since, network, account), account

    def _yields(self, place: Place, newcomer: Place) -> bool:
        """Tell whether a place must go, because its caller has more places than the newcomer's would have."""
        if place.network == newcomer.network:
            return self._siblings(place) > self._siblings(newcomer) + 1
        return self._crowd(place) > self._crowd(newcomer) + 1

    def _crowd(self, place: Place) -> int:
        """Return how many places in the lane belong to the same network or to the same account, whichever are more."""
        return max(sum(each.network == place.network for each in self.places), self._siblings(place))

    def _siblings(self, place: Place) -> int:
        """Return how many places in the lane belong to the same account."""
        return sum(each.account == place.account for each in self.places)
