"""Every RPC gets arbitrary messages and metadata from any caller: no answer is an unexpected error, and all invariants hold."""

from fuzz.calls import Scene
from fuzz.conftest import Fuzz
from fuzz.strategies import METHODS, calls
from mercato_server.config.settings import Settings
from support.two_workers import staged


def test_no_message_is_answered_by_an_accident(settings: Settings, fuzz: Fuzz) -> None:
    everything_is_answered(settings, fuzz, raw=False)


def everything_is_answered(settings: Settings, fuzz: Fuzz, *, raw: bool) -> None:
    with staged(settings) as stage:
        scene = Scene(stage, fuzz.count)
        for rpc in METHODS:
            stage.run(scene.renew())
            fuzz.draw(rpc, calls(rpc, scene.things, raw=raw), scene.make, quick=15, full=600)
        assert fuzz.answers.keys() == METHODS.keys()
        assert stage.run(stage.findings()) == []
