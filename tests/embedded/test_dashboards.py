"""Each metric of the dashboards, the alert rules and docs/metrics.md exists in a running shop, with the labels that they use."""

import json
import re

from support.observed_shop import documented, observed, table
from support.promql import DASHBOARDS, Selector, Series, expressions, grouped_by, rules, selectors, series

OF_PROMETHEUS = {"instance", "job"}
_SHOWN = re.compile(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}")
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def labels(told: list[Series], selector: Selector) -> set[str]:
    return {label for each in told if each.metric == selector.metric for label in each.labels}


def test_each_metric_that_dashboards_rules_and_docs_name_exists_with_its_labels() -> None:
    """One test, since it needs a shop that has traded."""
    with observed() as page:
        told = series(page)
    _require_selected(told)
    _require_labels(told)
    assert documented() == table(page)


def _require_selected(told: list[Series]) -> None:
    """Each metric exists, with the labels and values that expressions select."""
    names = {each.metric for each in told}
    wanted = [(place, selector) for place, expression in expressions() for selector in selectors(expression)]
    assert len(wanted) > 80
    assert {selector.metric for _, selector in wanted} <= names | RECORDED
    for place, selector in wanted:
        if selector.metric not in RECORDED:
            assert {label for label, _, _ in selector.matchers} <= labels(told, selector), place
            exact = selector._replace(matchers=tuple(each for each in selector.matchers if each[1] == "="))
            assert any(map(exact.selects, told)), (place, selector)


def _require_labels(told: list[Series]) -> None:
    """Each label exists by which an expression groups, and which a legend or the text of an alert shows."""
    texts = [(rule["expr"], " ".join(rule["annotations"].values())) for rule in rules() if "alert" in rule]
    for path in DASHBOARDS.glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            texts += [(target["expr"], target["legendFormat"]) for target in panel["targets"]]
    assert len(texts) > 80
    for expression, text in texts:
        selected = selectors(expression)
        if not any(selector.metric in RECORDED for selector in selected):
            grouped, known = grouped_by(expression), {label for selector in selected for label in labels(told, selector)}
            assert grouped <= known | OF_PROMETHEUS, expression
            assert set(_SHOWN.findall(text)) <= (grouped or known) | OF_PROMETHEUS, (expression, text)
