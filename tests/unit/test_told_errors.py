"""The errors whose messages the command line prints without a stack trace."""

import importlib

import pytest

from mercato_server.cli.commands import TOLD


@pytest.mark.parametrize("name", sorted(TOLD))
def test_the_name_of_an_error_that_is_told_is_that_of_its_class(name: str) -> None:
    module, _, kind = name.rpartition(".")
    error = getattr(importlib.import_module(module), kind)
    assert issubclass(error, Exception)
    assert f"{error.__module__}.{error.__qualname__}" == name
