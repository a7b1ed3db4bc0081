"""The examples of prices: the server, and the rules in another form, must find what their sources state."""

from dataclasses import fields

import pytest

from support.price_engine import engine_price
from support.price_examples import CITED, EXAMPLES
from support.price_examples.model import Example, Price
from support.price_oracle import Oracle

EACH = pytest.mark.parametrize("example", [pytest.param(example, id=example.name) for example in EXAMPLES])


def stated(price: Price, example: Example) -> Price:
    """Return the parts of a price that an example states."""
    silent = {field.name: None for field in fields(Price) if getattr(example.price, field.name) is None}
    return Price(**{field.name: getattr(price, field.name) for field in fields(Price)} | silent)


@EACH
def test_the_server_finds_the_price_that_the_source_states(example: Example) -> None:
    assert stated(engine_price(example.sale), example) == example.price, example.source


@EACH
def test_the_rules_with_fractions_give_the_price_that_the_source_states(example: Example) -> None:
    assert stated(Oracle(example.sale).price(), example) == example.price, example.source


@EACH
def test_the_server_agrees_with_the_rules_on_what_the_source_leaves_out(example: Example) -> None:
    assert engine_price(example.sale) == Oracle(example.sale).price()


def test_each_example_has_a_name_and_a_source_of_its_own() -> None:
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES) >= 60
    assert all(example.source for example in EXAMPLES)
    assert len(CITED) >= 20
