"""Scenarios run through both Python clients."""

import pytest

from support.python_twins import TWINS, Twin


@pytest.fixture(params=TWINS, ids=repr)
def twin(request: pytest.FixtureRequest) -> Twin:
    assert isinstance(request.param, Twin)
    return request.param
