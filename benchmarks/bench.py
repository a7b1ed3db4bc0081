"""Measure all goals of docs/performance.md and print them; a full run also writes the table, the JSON, the plots and the README's quote."""

import argparse
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import against_peer
import backups
import catalog_size
import checkouts
import codes
import database_load
import grpc_calls
import login_flood
import logins
import orders_size
import pinned
import python_clients
import report
import runs
import scaling
import second_start
import stages
import typescript_clients
import variant_lists
from goods import Mismatch
from mercato_server.embedded.processes import EmbeddedError
from report import GOALS_HEAD, Figures, Part
from runs import FULL, QUICK, Scale
from stage import machine_s

PARTS: Mapping[str, Callable[[Scale, Path | None], Awaitable[Part]]] = {
    module.__name__: module.measure
    for module in (
        grpc_calls,
        checkouts,
        codes,
        against_peer,
        pinned,
        scaling,
        login_flood,
        stages,
        logins,
        catalog_size,
        variant_lists,
        orders_size,
        database_load,
        second_start,
        backups,
        python_clients,
        typescript_clients,
    )
}
RESULTS = Path(__file__).with_name("results")
README = Path(__file__).parent.parent / "README.md"
QUOTE_BEGIN, QUOTE_END = "<!-- benchmarks/results/latest.md -->\n", "\n<!-- so far -->"
PLOTS = {
    "latency": "Latency distribution",
    "throughput": "Throughput against concurrency",
    "cost": "Cost per request by component",
    "growth": "Growth with catalog size",
}


class Noise:
    """The processor time that unrelated processes have used since the start: all but this process and its ended children."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._strangers_s = self._strangers()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began_s

    def share(self) -> float:
        """Return the share of the cores that unrelated processes have used."""
        return max(self._strangers() - self._strangers_s, 0.0) / self.seconds() / report.cores()

    def _strangers(self) -> float:
        return machine_s() - sum(os.times()[:4])


def main() -> int:
    """Run from the command line; returns the exit code."""
    return runs.carry_out(_measure(_options()))


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="5 minutes: fewer and shorter rounds, a smaller catalog, fewer orders; records nothing"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="measure only these; records nothing")
    wanted = f"past orders of the larger shop, {FULL.orders[-1]:,} in a full run; the smaller one has at most a tenth"
    parser.add_argument("--orders", type=runs.positive, help=wanted)
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[str]:
    """Measure part by part and print the pages; returns the failures. A full run of all parts without a failure is recorded."""
    scale = QUICK if options.quick else FULL
    if options.orders:
        scale = replace(scale, orders=(min(scale.orders[0], options.orders // 10), options.orders))
    parts: dict[str, Part] = {}
    strangers: dict[str, float] = {}
    failures: list[str] = []
    machine, whole = report.machine(), Noise()
    for name in options.only:
        noise = Noise()
        try:
            parts[name] = await PARTS[name](scale, options.directory)
        except* (EmbeddedError, Mismatch) as group:  # a bug keeps its traceback
            failures += [f"{name}: {error}" for error in group.exceptions]
        strangers[name] = noise.share()
        print(f"{name}: {noise.seconds():.0f} s, others took {strangers[name]:.0%} of the cores", file=sys.stderr)
    failures += [failure for part in parts.values() for failure in part.failures()]
    summary = _summary([*parts.values()], machine, scale, whole.share())
    pages = [f"{part.page()} Others took {strangers[name]:.0%} of the cores meanwhile." for name, part in parts.items()]
    print(summary, *pages, sep="\n\n")
    if not failures and scale.thorough and len(parts) == len(PARTS):
        plotted = [f"![{what}](plots/{name}.png)" for name, what in PLOTS.items()]
        _write(
            "\n\n".join((summary, *plotted, *pages)) + "\n",
            summary,
            {"machine": machine, "scale": asdict(scale), "strangers": strangers, **_content(parts)},
        )
    return failures


def _summary(parts: Sequence[Part], machine: Mapping[str, Any], scale: Scale, strangers: float) -> str:
    """Return the summary that the README quotes."""
    mode = "Full" if scale.thorough else "Quick"
    words = (
        f"{report.setting(machine, strangers)} {mode} mode: {scale.rounds} rounds of {scale.seconds:g} s, {scale.concurrency} callers "
        "at once unless it says otherwise; medians over the rounds, lowest and highest in brackets. CPU is the processor time of a call "
        "over all processes. An order is three calls of AddCartItem and one of Checkout."
    )
    cells = [goal.cells() for part in parts for goal in part.goals]
    return "\n\n".join((words, *([report.markdown([GOALS_HEAD, *cells])] if cells else [])))


def _content(parts: Mapping[str, Part]) -> dict[str, Any]:
    merged: dict[str, Any] = {figure.name: {} for figure in fields(Figures)}
    for part in parts.values():
        for name, figure in asdict(part.figures).items():
            merged[name] |= figure
    return {
        "goals": [goal.content() for part in parts.values() for goal in part.goals],
        "parts": {name: part.content() for name, part in parts.items()},
        "figures": merged,
    }


def _write(page: str, summary: str, content: Mapping[str, Any]) -> None:
    """Write the results, and quote the summary in the README."""
    import plots

    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.md").write_text(page)
    (RESULTS / "latest.json").write_text(json.dumps(_rounded(content), indent=1, ensure_ascii=False) + "\n")
    plots.draw(RESULTS / "latest.json", RESULTS / "plots")
    README.write_text(quoting(README.read_text(), summary))


def _rounded(value: Any) -> Any:
    """Return the value with four digits of each fraction, so that the JSON stays readable."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) and abs(value) < 1_000 else round(value) if isinstance(value, float) else value


def quoting(readme: str, summary: str) -> str:
    """Return the README with its quoted summary replaced."""
    before, _, rest = readme.partition(QUOTE_BEGIN)
    _, _, after = rest.partition(QUOTE_END)
    return f"{before}{QUOTE_BEGIN}{summary}{QUOTE_END}{after}"


def quotable(page: str) -> str:
    """Return the summary at the head of a page of results."""
    return page.partition("\n\n![")[0]


if __name__ == "__main__":
    sys.exit(main())
