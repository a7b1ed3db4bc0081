"""The expressions of dashboards and alert rules, and the series that they select."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy/prometheus/alert-rules.yaml"
DASHBOARDS = ROOT / "deploy/grafana/dashboards"

_STRING = r'"(?:[^"\\]|\\.)*"'
_MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_SELECTOR = re.compile(rf"(?<![\w:])([a-z][\w:]*)(\{{(?:[^}}\"]|{_STRING})*\}})?")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ")
_OURS = re.compile(r"(mercato|envoy|process)[_:]")


class Selector(NamedTuple):
    """A metric, and the matchers of its labels: name, operator, value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def selects(self, series: "Series") -> bool:
        """Return whether a series is one that this selects, as Prometheus compares them."""
        return self.metric == series.metric and all(_matches(series.labels.get(name, ""), by, value) for name, by, value in self.matchers)


class Series(NamedTuple):
    """A series of a page of metrics."""

    metric: str
    labels: dict[str, str]


def _matches(actual: str, operator: str, value: str) -> bool:
    equal = bool(re.fullmatch(value, actual)) if "~" in operator else actual == value
    return equal is not operator.startswith("!")


def rules() -> list[dict[str, Any]]:
    """Return all rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression with the name of its rule or panel."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


def selectors(expression: str) -> list[Selector]:
    """Return what an expression selects of this project's metrics and Envoy's."""
    found = [match.groups(default="") for match in _SELECTOR.finditer(_GROUPING.sub("", expression))]
    return [Selector(metric, tuple(_matchers(text))) for metric, text in found if _OURS.match(metric)]


def _matchers(text: str) -> list[tuple[str, str, str]]:
    return [(name, operator, json.loads(value)) for name, operator, value in _MATCHER.findall(text)]


def grouped_by(expression: str) -> set[str]:
    """Return the labels by which an expression groups or joins."""
    return {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",") if label.strip()}


def series(page: str) -> list[Series]:
    """Return the series of a page of metrics in Prometheus' text format."""
    found = [match for line in page.splitlines() if (match := _SERIES.match(line))]
    return [Series(match[1], {name: value for name, _, value in _matchers(match[2] or "")}) for match in found]
