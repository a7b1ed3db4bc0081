"""What the documents say of the repository is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_test_that_the_table_of_circumstances_names_exists() -> None:
    named = re.findall(r"`(\w+/\w+\.py)::(test_\w+)`", (ROOT / "docs/newcomers.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    absent = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / "tests" / path).read_text(encoding="utf-8")]
    assert absent == []
