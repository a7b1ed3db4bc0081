"""The alert rules and dashboards of deploy/, as Prometheus' own promtool reads them, and what they refer to."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import needs
from support.promql import ROOT, RULES, Selector, Series, grouped_by, rules, selectors, series

PROMTOOL = shutil.which("promtool")
ANCHORS = {"backup-late", "disk-full", "feed-stuck", "quarantined-jobs", "leaked-key", "restore", "database-away", "payments", "slow"}
RUNBOOKS = ROOT / "docs/runbooks.md"


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False, cwd=RULES.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs.PROMETHEUS.unless(PROMTOOL)
def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", RULES.with_suffix(".test.yaml"))


@pytest.mark.parametrize("alert", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"])
def test_an_alert_says_how_urgent_it_is_what_has_happened_and_what_to_do(alert: dict[str, dict[str, str]]) -> None:
    assert alert["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert re.fullmatch(r"\S.*[.?]", alert["annotations"]["description"])
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbooks.md"
    assert anchor in ANCHORS


def test_each_anchor_is_a_heading_of_the_runbooks() -> None:
    if not RUNBOOKS.exists():
        pytest.xfail("the page of runbooks is a part of its own")
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in RUNBOOKS.read_text().splitlines() if line[:1] == "#"
    }
    named = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in rules() if "alert" in rule}
    assert named <= headings


def test_no_two_rules_have_one_name() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert len(names) == len(set(names))


def test_the_series_of_an_expression_are_found() -> None:
    expression = 'sum by (kind, le) (rate(mercato_x_bucket{kind=~"a|b}", le!="1"}[5m])) / on (kind) mercato_y > process_z:r'
    assert selectors(expression) == [
        Selector("mercato_x_bucket", (("kind", "=~", "a|b}"), ("le", "!=", "1"))),
        Selector("mercato_y", ()),
        Selector("process_z:r", ()),
    ]
    assert grouped_by(expression) == {"kind", "le"}
    [first, second] = series('# TYPE mercato_x_bucket counter\nmercato_x_bucket{kind="b}",le="2"} 7\nmercato_y 1.5e3\n')
    assert (first, second) == (Series("mercato_x_bucket", {"kind": "b}", "le": "2"}), Series("mercato_y", {}))
    one, other, _ = selectors(expression)
    assert [one.selects(each) for each in (first, second, Series("mercato_x_bucket", {"kind": "a", "le": "1"}))] == [True, False, False]
    assert other.selects(second)
