"""The contract with a provider of taxes: an answer is taken if it fits its question in every part, else refused."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from mercato_server.domain.provided_taxes import AskedDelivery, AskedLine, ProvidedTax, TaxQuestion
from mercato_server.domain.shipping import Destination
from mercato_server.domain.taxes import TaxTreatment
from mercato_server.taxes.contract import UnusableAnswerError, answer, request

BALL, BOOK, PLAIN = (UUID(int=number) for number in (1, 2, 3))
QUESTION = TaxQuestion(
    place=Destination("US", "CA", "95014"),
    treatment=TaxTreatment.NORMAL,
    prices_include_tax=False,
    lines=(
        AskedLine(BALL, "standard", needs_delivery=True, quantity=2, amount_minor=10_000),
        AskedLine(BOOK, "reduced", needs_delivery=True, quantity=1, amount_minor=0),
        AskedLine(PLAIN, "", needs_delivery=False, quantity=1, amount_minor=500),
    ),
    delivery=AskedDelivery("as-goods", 490),
)


def good() -> dict[str, Any]:
    """Return an answer: 7.25 % of 100.00 is 7.25, and of 3.90 is 0.28275."""
    return {
        "lines": [
            {"product_id": str(BALL), "name": "CA", "rate_ppm": 72_500, "tax_minor": 725},
            {"product_id": str(BOOK), "name": "Books", "rate_ppm": 0, "tax_minor": 0},
        ],
        "delivery": [
            {"amount_minor": 390, "name": "CA", "rate_ppm": 72_500, "tax_minor": 28},
            {"amount_minor": 100, "name": "Books", "rate_ppm": 0, "tax_minor": 0},
        ],
        "tax_minor": 753,
        "a later field": None,
    }


def test_a_request_is_json_of_the_question() -> None:
    asked = json.loads(request(QUESTION._replace(treatment=TaxTreatment.UNKNOWN), "USD"))
    assert (asked["tax_treatment"], asked["currency_code"], asked["version"]) == ("normal", "USD", 1)
    assert asked["place"] == {"country_code": "US", "region": "CA", "postal_code": "95014"}
    assert [line["tax_category"] for line in asked["lines"]] == ["standard", "reduced", ""]


def test_an_answer_has_the_taxes_of_lines_and_delivery() -> None:
    found = answer(json.dumps(good()).encode(), QUESTION)
    assert found.question == QUESTION.digest
    assert found.lines == (ProvidedTax(10_000, "CA", 72_500, 725), ProvidedTax(0, "Books", 0, 0))
    assert found.delivery == (ProvidedTax(390, "CA", 72_500, 28), ProvidedTax(100, "Books", 0, 0))


def taxed(tax_minor: int, *, included: bool) -> ProvidedTax:
    """Return the tax of the first line of an answer whose other taxes are right."""
    content = good()
    on_delivery = 26 if included else 28  # of 3.90 with tax it is 0.2636
    content["lines"][0]["tax_minor"], content["delivery"][0]["tax_minor"] = tax_minor, on_delivery
    content["tax_minor"] = tax_minor + on_delivery
    return answer(json.dumps(content).encode(), QUESTION._replace(prices_include_tax=included)).lines[0]


def test_a_tax_may_differ_from_its_rate_by_a_unit() -> None:
    """Of 100.00, 7.25 % is 7.25; of 100.00 with tax it is 6.7599. A millionth of 100.00 is 0.0001."""
    assert [taxed(tax_minor, included=False).tax_minor for tax_minor in (724, 726)] == [724, 726]
    assert [taxed(tax_minor, included=True).tax_minor for tax_minor in (675, 676, 677)] == [675, 676, 677]
    for tax_minor, included in ((723, False), (727, False), (674, True), (678, True)):
        with pytest.raises(UnusableAnswerError, match="that of the rate"):
            taxed(tax_minor, included=included)


def change(place: str, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def changed(content: dict[str, Any]) -> None:
        (content[place][0] if place else content)[name] = value

    return changed


def drop(place: str, index: int) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[place].pop(index)


WRONG = {
    "a line is absent": drop("lines", 1),
    "a line is there twice": lambda content: content["lines"].append(content["lines"][0]),
    "lines are in another order": lambda content: content["lines"].reverse(),
    "goods without tax are taxed": lambda content: content["lines"].append({**content["lines"][1], "product_id": str(PLAIN)}),
    "another product": change("lines", "product_id", str(PLAIN)),
    "no product": change("lines", "product_id", None),
    "lines are no list": change("", "lines", {}),
    "a line is no object": lambda content: content["lines"].__setitem__(0, 1),
    "delivery is absent": lambda content: content.pop("delivery"),
    "delivery is empty": lambda content: content["delivery"].clear(),
    "delivery has too little": change("delivery", "amount_minor", 389),
    "delivery has too much": change("delivery", "amount_minor", 391),
    "a part of the delivery is negative": lambda content: content["delivery"].append(
        {"amount_minor": -1, "name": "x", "rate_ppm": 0, "tax_minor": 0}
    ),
    "a rate of the delivery is there twice": lambda content: content["delivery"].append(
        {"amount_minor": 0, "name": "Books", "rate_ppm": 0, "tax_minor": 0}
    ),
    "too many rates": lambda content: content["delivery"].extend(
        {"amount_minor": 0, "name": f"rate {number}", "rate_ppm": 0, "tax_minor": 0} for number in range(9)
    ),
    "the sum is another": change("", "tax_minor", 752),
    "the sum is absent": lambda content: content.pop("tax_minor"),
    "a tax has a fraction": change("lines", "tax_minor", 725.0),
    "a tax is a text": change("lines", "tax_minor", "725"),
    "a tax is a truth value": lambda content: content["lines"][0].update(tax_minor=True),
    "a tax is negative": change("lines", "tax_minor", -1),
    "a tax is more than the amount": change("lines", "tax_minor", 10_001),
    "a tax is vast": change("lines", "tax_minor", 10**30),
    "a rate is negative": change("lines", "rate_ppm", -1),
    "a rate is above 100 %": change("lines", "rate_ppm", 1_000_001),
    "a rate has a fraction": change("lines", "rate_ppm", 72_500.5),
    "a rate is not that of the tax": change("lines", "rate_ppm", 70_000),
    "a name is empty": change("lines", "name", ""),
    "a name is blank": change("lines", "name", " "),
    "a name is long": change("lines", "name", "x" * 101),
    "a name has a control character": change("lines", "name", "a\0b"),
    "a name has half a character": change("lines", "name", "\ud800"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_an_answer_that_does_not_fit_is_refused(spoil: Callable[[dict[str, Any]], Any]) -> None:
    content = good()
    spoil(content)
    with pytest.raises(UnusableAnswerError):
        answer(json.dumps(content).encode(), QUESTION)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"NaN", b"\xff", b'{"lines": ' + b"9" * 5_000 + b"}", b"[" * 200_000])
def test_a_body_that_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(UnusableAnswerError):
        answer(body, QUESTION)


def test_without_a_delivery_an_answer_has_none() -> None:
    question = QUESTION._replace(delivery=None)
    content = good() | {"delivery": [], "tax_minor": 725}
    assert answer(json.dumps(content).encode(), question).delivery == ()
    with pytest.raises(UnusableAnswerError):
        answer(json.dumps(good()).encode(), question)
