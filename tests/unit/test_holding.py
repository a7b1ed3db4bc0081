import pytest

from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import logs_bytes
from mercato_server.domain.networks import network_of
from mercato_server.rpc.callers import Places


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:1::1", "2001:0db8:0001:0001:0000:0000:0000:0002", True),
        ("2001:db8:1:1::1", "2001:db8:1:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("not:an:address", "not:an:address", True),
        ("not:an:address", "another:one", False),
    ],
)
def test_addresses_of_one_subscriber_are_one_caller(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) == same


def test_a_caller_holds_no_more_than_its_places_and_others_are_not_affected() -> None:
    places = Places(2)
    assert [places.take("a") for _ in range(3)] == [True, True, False]
    assert places.take("b")
    places.free("a")
    assert [places.take("a"), places.take("a")] == [True, False]


def test_a_caller_without_an_address_is_not_counted() -> None:
    places = Places(1)
    assert [places.take("") for _ in range(3)] == [True] * 3
    places.free("")


def test_callers_that_hold_nothing_take_no_memory() -> None:
    places = Places(1)
    for number in range(100):
        assert places.take(str(number))
        places.free(str(number))
    assert places._held == {}


@pytest.mark.parametrize("value", ["-1", "101", "all"])
def test_a_share_of_refused_calls_is_a_percentage(value: str) -> None:
    with pytest.raises(ConfigError, match="MERCATO_ACCESS_LOG_REFUSED"):
        EdgeSettings.from_environ({"MERCATO_ACCESS_LOG_REFUSED": value})


def test_the_size_of_logs_is_in_megabytes() -> None:
    assert logs_bytes({}) == 256 * 1024 * 1024
    assert logs_bytes({"MERCATO_LOG_MEGABYTES": "16"}) == 16 * 1024 * 1024
    with pytest.raises(ConfigError, match="MERCATO_LOG_MEGABYTES"):
        logs_bytes({"MERCATO_LOG_MEGABYTES": "0"})
