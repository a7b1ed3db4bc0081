"""The metadata of errors: it has every value of the message (AIP-193)."""

import ast
import re
from pathlib import Path

import pytest

from mercato_server.domain import errors
from mercato_server.domain.errors import MercatoError, Violation
from mercato_server.rpc.statuses import status_metadata
from support.error_examples import kinds, makers, violations

SERVER = Path(errors.__file__).parents[1]
METADATA_KEY = re.compile(r"[a-z][a-zA-Z0-9-_]{1,63}")  # google/rpc/error_details.proto


@pytest.mark.parametrize("kind", [kind for kind in kinds() if hasattr(kind, "reason")], ids=lambda kind: kind.__name__)
def test_two_messages_of_an_error_differ_only_in_values_that_its_metadata_has(kind: type[MercatoError]) -> None:
    for make in makers(kind):
        one, other = make(), make()
        assert template(one) == template(other)
        assert all(METADATA_KEY.fullmatch(name) for name in one.metadata)


def template(error: MercatoError) -> str:
    """Return the message of an error with the names of its values instead of the values."""
    message = error.message
    for name, value in sorted(error.metadata.items(), key=lambda item: len(item[1]), reverse=True):
        message = message.replace(value, "{" + name + "}")
    return message


def test_a_brace_in_a_value_or_in_a_text_without_values_is_a_brace() -> None:
    assert errors.SkuTaken("{sku}").message == "a product with the SKU '{sku}' exists"
    assert errors.InvalidRequest([Violation("body", 'such as {"a": 1}')]).message == 'body: such as {"a": 1}'


def test_the_largest_error_of_parts_fits_into_the_headers_of_a_call() -> None:
    metadata = dict(status_metadata(errors.InvalidRequest(violations(1_000))))
    assert sum(map(len, metadata.values())) < 8 * 1024


def test_no_caller_writes_a_value_into_a_template() -> None:
    """A template is a text, or composed of texts and constants. Other values are arguments, so the metadata has them."""
    names = {kind.__name__ for kind in kinds()} | {"Violation", "fail"}
    wrong = [
        f"{path.relative_to(SERVER)}:{call.lineno}"
        for path in SERVER.rglob("*.py")
        if path != Path(errors.__file__)
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and called(call.func) in names
        for argument in call.args[-1:]
        if any(map(computed, ast.walk(argument)))
    ]
    assert wrong == []


def called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def computed(node: ast.AST) -> bool:
    """Return whether a node writes something other than a constant into a text."""
    if isinstance(node, ast.FormattedValue):
        return not (isinstance(node.value, ast.Name) and node.value.id.isupper())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return not all(isinstance(side, ast.Constant) for side in (node.left, node.right))
    return isinstance(node, ast.Call) and called(node.func) in {"format", "join", "replace"}
