"""The metrics of several workers become one page, as Prometheus' own parser reads it."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mercato_server.embedded.metrics import merged

ODD = 'a "quoted\\ {name} of\ntwo lines'


def page(calls: int) -> str:
    """Return what a worker would tell."""
    registry = CollectorRegistry()
    Counter("plain", "Without labels.", registry=registry).inc(calls)
    Counter("calls", "With labels.", ["kind"], registry=registry).labels(ODD).inc(calls)
    Histogram("seconds", "With buckets.", buckets=(1, 2), registry=registry).observe(1.5)
    return generate_latest(registry).decode()


def test_each_series_gets_the_label_and_nothing_else_changes() -> None:
    expected = {
        (sample.name, frozenset({**sample.labels, "worker": str(number)}.items())): sample.value
        for number, calls in ((0, 3), (7, 5))
        for family in text_string_to_metric_families(page(calls))
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    whole = merged([('worker="0"', page(3)), ('worker="7"', page(5))])
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(whole)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    assert found == expected


def test_the_lines_of_a_metric_are_together_under_one_description() -> None:
    lines = merged([("", 'calls_total{kind="edge"} 1\n'), ('worker="0"', page(3)), ('worker="1"', page(5))]).splitlines()
    described = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
    places = [index for index, line in enumerate(lines) if line.startswith("seconds_bucket")]
    assert len(places) == 6
    assert places[-1] - places[0] < 6 + 2 * 2  # the sum and the count of the first worker lie between


def test_series_without_labels_and_with_empty_ones_get_the_label() -> None:
    assert merged([('worker="0"', 'a 1\nb{} 2\nc{x="1"} 3\n')]).splitlines() == [
        'a{worker="0"} 1',
        'b{worker="0"} 2',
        'c{worker="0",x="1"} 3',
    ]


def test_lines_that_are_no_series_change_nothing() -> None:
    assert merged([('worker="0"', "\n# a comment\nnonsense\n")]) == "nonsense\n"
