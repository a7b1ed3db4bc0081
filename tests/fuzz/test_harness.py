"""The fuzz tests find a handler that fails."""

import pytest

from fuzz.calls import Scene
from fuzz.conftest import Fuzz
from fuzz.strategies import calls
from mercato_server.config.settings import Settings
from mercato_server.handlers import convert
from support.two_workers import staged

RPC = "mercato.v1.AuthService.GetJwks"


def test_a_handler_that_fails_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz = Fuzz(seed=0, soak=False, answers={})  # its own instance, so that nothing is reported
    monkeypatch.delattr(convert, "jwks")
    with staged(settings) as stage:
        scene = Scene(stage, fuzz.count)
        stage.run(scene.renew())
        with pytest.raises(AssertionError, match="INTERNAL"):
            fuzz.draw(RPC, calls(RPC, scene.things, raw=False), scene.make, quick=20, full=20)
