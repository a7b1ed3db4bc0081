"""Every RPC gets mangled bytes: no answer is an unexpected error, and none reveals Python internals."""

from fuzz.conftest import Fuzz
from fuzz.test_messages import everything_is_answered
from mercato_server.config.settings import Settings


def test_no_bytes_are_answered_by_an_accident(settings: Settings, fuzz: Fuzz) -> None:
    everything_is_answered(settings, fuzz, raw=True)
