"""The queue of password hashes is fair between callers, and bounded."""

import pytest

from mercato_server.security.hash_process import pause
from mercato_server.security.hash_queue import HashQueue, Lane, Place, QueueFullError


def waiting(queue: HashQueue, network: str, account: str = "", lane: Lane = Lane.LOGIN) -> Place:
    """Let a call of a client wait for a hash."""
    place = Place(lane, network, account or f"account {id(object())} at {network}")
    queue.enter(place)
    queue.add(place, "work")
    return place


def serve(queue: HashQueue, times: int, *, loop: bool = False) -> list[Place]:
    """Serve the next calls; each leaves the queue, or asks for another hash at once."""
    served = []
    for _ in range(times):
        place = queue.next()
        assert place is not None
        served.append(place)
        if loop:
            queue.add(place, "work")
        else:
            queue.leave(place)
    return served


def test_calls_of_one_caller_are_served_in_the_order_of_their_arrival() -> None:
    queue = HashQueue(20)
    places = [waiting(queue, "a", "jo") for _ in range(5)]
    assert serve(queue, 5) == places
    assert queue.next() is None


def test_a_newcomer_waits_for_one_hash_of_a_crowd_from_one_network() -> None:
    queue = HashQueue(20)
    for number in range(15):
        waiting(queue, "crowd", f"account {number}")
    serve(queue, 1)
    newcomer = waiting(queue, "home")
    assert newcomer in serve(queue, 2)


def test_a_newcomer_waits_for_one_hash_of_one_account_in_many_networks() -> None:
    queue = HashQueue(20)
    for number in range(15):
        waiting(queue, f"network {number}", "jo")
    serve(queue, 1)
    newcomer = waiting(queue, "home")
    assert newcomer in serve(queue, 2)


def test_within_a_network_an_account_waits_for_one_hash_of_an_account_with_many_calls() -> None:
    queue = HashQueue(20)
    for _ in range(15):
        waiting(queue, "office", "busy")
    serve(queue, 1)
    colleague = waiting(queue, "office", "jo")
    assert colleague in serve(queue, 2)


@pytest.mark.parametrize(("crowd", "share"), [(1, 50), (3, 50), (15, 50)])
def test_two_networks_get_the_same_share_however_many_calls_one_makes(crowd: int, share: int) -> None:
    queue = HashQueue(20)
    for number in range(crowd):
        waiting(queue, "crowd", f"account {number}")
    home = waiting(queue, "home", "jo")
    assert abs(serve(queue, 2 * share, loop=True).count(home) - share) <= 2


def test_a_caller_that_comes_back_does_not_starve_beside_an_endless_row_of_new_ones() -> None:
    queue = HashQueue(32)
    home = waiting(queue, "home", "jo")
    turns = 0
    for number in range(-16, 200):
        waiting(queue, f"new {number}")
        if number >= 0:
            [place] = serve(queue, 1)
            if place is home:
                turns += 1
                queue.enter(home)
                queue.add(home, "work")
    assert turns >= 200 // 25  # 18 callers share the turns


def test_a_caller_that_left_without_a_hash_has_lost_nothing() -> None:
    queue = HashQueue(20)
    for _ in range(50):
        queue.leave(waiting(queue, "home", "jo"))
    waiting(queue, "other")
    home = waiting(queue, "home", "jo")
    assert home in serve(queue, 2)


def test_logins_have_every_second_turn_beside_any_number_of_changing_callers() -> None:
    queue = HashQueue(32)
    for number in range(32):
        waiting(queue, f"network {number}", lane=Lane.CHANGE)
    waiting(queue, "home")
    assert [place.lane for place in serve(queue, 8, loop=True)].count(Lane.LOGIN) == 4


def test_a_lane_alone_gets_all_turns() -> None:
    queue = HashQueue(4)
    waiting(queue, "home", lane=Lane.CHANGE)
    assert len(serve(queue, 9, loop=True)) == 9


def test_a_lane_is_bounded_and_the_other_one_is_not_affected() -> None:
    queue = HashQueue(3)
    for _ in range(3):
        waiting(queue, "home")
    with pytest.raises(QueueFullError):
        waiting(queue, "home")
    waiting(queue, "home", lane=Lane.CHANGE)


@pytest.mark.parametrize(("network", "account"), [("crowd", "account {}"), ("network {}", "crowd")])
def test_a_newcomer_displaces_the_youngest_of_the_largest_crowd_until_both_have_as_many(network: str, account: str) -> None:
    queue = HashQueue(6)
    crowd = [Place(Lane.LOGIN, network.format(number), account.format(number)) for number in range(6)]
    for place in crowd:
        assert queue.enter(place) is None
    for displaced in crowd[:2:-1]:
        assert queue.enter(Place(Lane.LOGIN, "home", "jo")) is displaced
    with pytest.raises(QueueFullError):
        queue.enter(Place(Lane.LOGIN, "home", "jo"))


def test_within_a_network_an_account_displaces_the_youngest_of_one_with_more_calls() -> None:
    queue = HashQueue(6)
    crowd = [Place(Lane.LOGIN, "office", "busy") for _ in range(6)]
    for place in crowd:
        queue.enter(place)
    for displaced in crowd[:2:-1]:
        assert queue.enter(Place(Lane.LOGIN, "office", "jo")) is displaced
    for account in ("busy", "jo"):
        with pytest.raises(QueueFullError):
            queue.enter(Place(Lane.LOGIN, "office", account))


def test_the_queue_remembers_no_more_callers_than_it_has_places_for() -> None:
    queue = HashQueue(5)
    for number in range(1000):
        waiting(queue, f"network {number}")
        serve(queue, 1)
    assert len(queue._lanes[Lane.LOGIN]._due) <= 4 * 5


@pytest.mark.parametrize(
    ("ran_ms", "took_ms", "share", "pause_ms"),
    [
        (10, 10, 0.3, 0),  # nothing else wants the core
        (9.2, 10, 0.3, 0),
        (6, 10, 0.3, 10),  # 6 of 20 ms are 30 %
        (3, 10, 0.3, 0),
        (1, 10, 0.3, 0),  # others leave less than the share
        (5, 10, 0.25, 10),
        (5, 10, 1, 0),
    ],
)
def test_a_pause_gives_the_share_of_a_core_that_others_want(ran_ms: float, took_ms: float, share: float, pause_ms: float) -> None:
    assert pause(ran_ms / 1000, took_ms / 1000, share) == pytest.approx(pause_ms / 1000)
