"""Draw the figures of benchmarks/results/latest.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from meter import SHARES

COLORS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#6cc5b0", "#9c6b4e")
CALLS = {
    "empty": "grey",
    **dict(zip(("GetProduct", "ListProducts", "GetCart", "AddCartItem", "Checkout"), COLORS, strict=False)),
}
"""Colours by the first word of a call's name."""
ROLE_NAMES = {"worker": "server", "postgres": "PostgreSQL", "envoy": "Envoy"}
NINES = (0.5, 0.9, 0.99, 0.999)
DPI = 110
PEER = "REST of the peer"


def draw(results: Path, directory: Path) -> None:
    """Write a PNG for each figure."""
    figures = json.loads(results.read_text())["figures"]
    directory.mkdir(exist_ok=True)
    mpl.use("agg")
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3})
    drawn = {
        "latency": _latency(figures["latency_ms"]),
        "throughput": _throughput(figures["throughput"]),
        "cost": _cost(figures["cost_us"]),
        "growth": _growth(figures["growth_ms"]),
    }
    for name, figure in drawn.items():
        figure.savefig(directory / f"{name}.png", dpi=DPI)


def _figure(title: str, width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
    return figure


def _split(line: str) -> tuple[str, str]:
    call, _, way = line.rpartition(", ")
    return call, way


def _color(call: str) -> str:
    return next(color for name, color in CALLS.items() if call.startswith(name))


def _latency(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw latency curves over the share of slower calls, gRPC beside REST; the peer's curves are dashed."""
    figure = _figure("Latency distribution, 64 callers at once", 9, 5)
    left, right = figure.subplots(1, 2, sharey=True)
    slower = [1 / (1 - share) for share in SHARES[:-1]]
    for line, curve in curves.items():
        call, way = _split(line)
        if call.startswith("empty RPC,"):  # nearly as fast as the empty answer
            continue
        axes = left if way == "gRPC" else right
        label = call if way != PEER else f"{call}, peer"
        axes.plot(slower, curve[:-1], color=_color(call), ls="--" if way == PEER else "-", label=label)
    for axes, title in ((left, "gRPC"), (right, "REST, and the peer's")):
        axes.set(title=title, xscale="log", yscale="log", xlabel="percentile")
        axes.set_xticks([1 / (1 - share) for share in NINES], [f"{share:.3%}".rstrip("0%").rstrip(".") + " %" for share in NINES])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    left.set_ylabel("ms")
    return figure


def _throughput(rates: Mapping[str, Mapping[str, float]]) -> Figure:
    figure = _figure("Throughput against concurrency, gRPC, one worker, own client", 8, 4)
    axes = figure.subplots()
    for call, by_callers in rates.items():
        axes.plot([int(callers) for callers in by_callers], [*by_callers.values()], marker="o", ms=4, color=_color(call), label=call)
    callers = sorted({int(callers) for by_callers in rates.values() for callers in by_callers})
    axes.set(xscale="log", xlabel="callers at once", ylabel="calls a second", ylim=(0, None))
    axes.set_xticks(callers, [str(each) for each in callers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _cost(costs: Mapping[str, Mapping[str, float]]) -> Figure:
    figure = _figure("Processor time of a call", 8, 0.6 + 0.28 * len(costs))
    axes = figure.subplots()
    lines = [*costs]
    left = [0.0] * len(lines)
    for role, color in zip(ROLE_NAMES, COLORS, strict=False):
        widths = [costs[line][role] for line in lines]
        axes.barh(lines, widths, left=left, color=color, label=ROLE_NAMES[role])
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for line, total in zip(lines, left, strict=True):
        axes.annotate(f"{total:,.0f}", (total, line), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set(xlabel="µs", xlim=(0, max(left) * 1.08))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.legend(frameon=False, loc="upper right")
    return figure


def _growth(times: Mapping[str, Mapping[str, float]]) -> Figure:
    figure = _figure("Growth with catalog size, at the store", 10, 5.5)
    kinds = list(dict.fromkeys(line.partition(": ")[0] for line in times))
    for axes, kind in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, kinds, strict=False):
        _panel(axes, kind, {line.partition(": ")[2]: times[line] for line in times if line.startswith(f"{kind}: ")})
    return figure


def _panel(axes: Axes, kind: str, times: Mapping[str, Mapping[str, float]]) -> None:
    for color, (read, by_size) in zip(COLORS, times.items(), strict=False):
        axes.plot([int(size) for size in by_size], [*by_size.values()], marker="o", ms=4, color=color, label=read)
    axes.set(title=kind, xscale="log", yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    subplot: Any = axes.get_subplotspec()
    if subplot.is_first_col():
        axes.set_ylabel("ms")
    if subplot.is_last_row():
        axes.set_xlabel("products")


def _plain(value: float, _position: float) -> str:
    return f"{value:,.10g}"
