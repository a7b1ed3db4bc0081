"""The backoff between the starts of a program that dies."""

from mercato_server.embedded.processes import BACKOFF_FIRST_S, BACKOFF_MAX_S, BACKOFF_RESET_S, Backoff


def test_each_wait_is_twice_the_last_one_up_to_a_limit() -> None:
    backoff = Backoff()
    delays_s = [backoff.after(0.0) for _ in range(10)]
    assert delays_s == [min(BACKOFF_FIRST_S * 2**number, BACKOFF_MAX_S) for number in range(10)]
    assert delays_s[-1] == BACKOFF_MAX_S


def test_after_a_good_life_waits_are_short_again() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.after(0.0)
    assert backoff.after(BACKOFF_RESET_S - 0.1) == BACKOFF_MAX_S
    assert [backoff.after(BACKOFF_RESET_S), backoff.after(0.0)] == [BACKOFF_FIRST_S, 2 * BACKOFF_FIRST_S]
