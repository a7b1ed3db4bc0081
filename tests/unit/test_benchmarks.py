"""`make bench` parses its load generators, compares rounds, decides goals and quotes results. The numbers are real ones."""

import asyncio
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench
import drivers
import http2
import report
from cases import Run
from goods import Mismatch
from http1 import Caller
from meter import SHARES, Job, Meter, Outcome, Request, curve_ms
from report import Figures, Goal, Part, Sample
from runs import Scale

H2LOAD = """
finished in 10.74ms, 372.37 req/s, 179.55KB/s
requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.93KB (1975) total, 87B (87) headers (space savings 73.15%), 1.57KB (1604) data
                     min         max         mean         sd        +/- sd
time for request:     1.67ms      6.03ms      3.77ms      2.40ms   100.00%
"""
H2LOAD_OF_AN_ERROR = """
finished in 6.42ms, 623.05 req/s, 48.52KB/s
requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 319B (319) total, 185B (185) headers (space savings 42.19%), 0B (0) data
                     min         max         mean         sd        +/- sd
time for request:     1.74ms      1.80ms      1.77ms        26us    50.00%
"""
H2LOAD_LOG = """\
1795691599233029\t200\t5653
1795691599233031\t200\t6030
1795691599239083\t200\t1673
1795691599239086\t200\t1712
"""
CURVE = "[0.864, 1.073, 1.135, 1.236, 1.307, 1.363, 1.42, 1.516, 1.718, 2.238, 3.345, 8.672, 31.016, 44.96, 55.418, 62.39, 64.133, 65.876]"
WRK = f"""Running 1s test @ http://127.0.0.1:45601/products/01a2178f-54dd-7dd0-957b-fdaa0e1c5320
  1153 requests in 1.00s, 1.00MB read
Requests/sec:   1147.80
Transfer/sec:      1.00MB
{{"count": 1153, "us": 1004528, "bytes": 1048077, "errors": {{"read": 0, "write": 0, "status": 0}}, "curve_ms": {CURVE}}}
"""


async def _measured(_scale: Scale, _directory: Path | None) -> Part:
    return Part(title="One part", goals=(), note="It took no time.")


@pytest.mark.parametrize(("arguments", "is_recorded"), [((), True), (("--quick",), False), (("--only", "first"), False)])
def test_only_a_full_run_records_what_it_found(
    arguments: tuple[str, ...], is_recorded: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results"
    readme.write_text(before := bench.README.read_text())
    monkeypatch.setattr(bench, "PARTS", {"first": _measured, "second": _measured})
    monkeypatch.setattr(bench, "README", readme)
    monkeypatch.setattr(bench, "RESULTS", results)
    monkeypatch.setitem(sys.modules, "plots", SimpleNamespace(draw=lambda *_: None))  # this part has no figures to draw
    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
    assert bench.main() == 0
    assert "## One part" in capsys.readouterr().out
    written = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert written == ["README.md", *(["results/latest.json", "results/latest.md"] if is_recorded else [])]
    assert (readme.read_text() != before) == bool(is_recorded)


def test_h2load_is_summed_up() -> None:
    outcome = drivers.h2load_outcome(H2LOAD, H2LOAD_LOG, reply_bytes=396)
    assert (outcome.count, outcome.failures) == (4, {})
    assert outcome.seconds == pytest.approx(0.007769)
    assert (outcome.p50_ms, outcome.p99_ms) == pytest.approx((5.653, 6.03))


def test_errors_of_grpc_are_noticed_though_their_http_status_is_200() -> None:
    outcome = drivers.h2load_outcome(H2LOAD_OF_AN_ERROR, H2LOAD_LOG, reply_bytes=396)
    assert outcome.failures == {"not the bytes of that many answers": 4 * (396 + 5)}


def test_requests_that_h2load_could_not_send_fail_the_run() -> None:
    with pytest.raises(Mismatch, match="refused"):
        drivers.h2load_outcome("starting benchmark...\nconnection refused", "", reply_bytes=396)


def test_wrk_is_summed_up() -> None:
    outcome = drivers.wrk_outcome(WRK, reply_bytes=592)
    assert (outcome.count, outcome.seconds, outcome.failures) == (1153, 1.004528, {})
    assert (outcome.p50_ms, outcome.p99_ms) == (1.42, 44.96)


def test_statuses_of_wrk_and_answers_that_are_too_short_are_noticed() -> None:
    outcome = drivers.wrk_outcome(WRK.replace('"status": 0', '"status": 53'), reply_bytes=1_000)
    assert outcome.count == 1100
    assert outcome.failures == {"status": 53, "too few bytes for that many answers": 1}


def test_a_curve_gives_what_each_share_took_at_most() -> None:
    curve = dict(zip(SHARES, curve_ms(number / 1_000 for number in range(100, 0, -1)), strict=True))
    assert (curve[0.01], curve[0.5], curve[0.99], curve[1.0]) == (2, 51, 100, 100)


def test_requests_of_a_job_with_a_rate_are_due_one_after_the_other() -> None:
    async def taken() -> list[float]:
        job = Job(protocol="http1", address="", requests=[Request(b"")], concurrency=1, seconds=0.09, repeatable=False, rate=50)
        meter = Meter(job)
        meter.start()
        due = []
        while took := meter.take():
            due.append(took[2])
        return due

    due = asyncio.run(taken())
    assert [each - due[0] for each in due] == pytest.approx([0, 0.02, 0.04, 0.06, 0.08])


def test_a_load_generator_gets_the_job_as_it_was() -> None:
    requests = [Request(b"\x83\x86", b"\0\xff"), Request(b"GET / HTTP/1.1\r\n\r\n")]
    job = Job(protocol="h2", address="/x.sock", requests=requests, concurrency=3, seconds=0.5, repeatable=True, rate=2.5, cores=(1, 3))
    assert asdict(Job.load(job.dump())) == asdict(replace(job, cores=[1, 3]))


def test_a_connection_that_is_closed_while_it_has_no_request_is_no_failure() -> None:
    async def closed() -> Meter:
        meter = Meter(Job(protocol="http1", address="", requests=[Request(b"")], concurrency=1, seconds=0, repeatable=False))
        caller = Caller(meter)
        caller.start()
        caller.connection_lost(None)
        return meter

    meter = asyncio.run(closed())
    assert (meter.lost, meter.outcome().failures) == (1, {})


@pytest.mark.parametrize(("refusal", "counts"), [("9", (1, 1, {})), ("", (0, 0, {"gRPC status 9: sold out": 1}))])
def test_a_refusal_is_a_right_answer_for_a_job_that_expects_it(refusal: str, counts: tuple[int, int, dict[str, int]]) -> None:
    async def refused() -> Outcome:
        requests = [http2.request("/x", b"")]
        job = Job(protocol="h2", address="", requests=requests, concurrency=1, seconds=9, repeatable=False, once=True, refusal=refusal)
        meter = Meter(job)
        calls = http2.Calls(meter)
        calls.connection_made(SimpleNamespace(write=lambda _: None))  # type: ignore[arg-type] # the only method that is called
        calls.start(1)
        trailers = http2._literal("grpc-status", "9") + http2._literal("grpc-message", "sold out")
        calls.data_received(http2._frame(http2._HEADERS, http2._END_STREAM | http2._END_HEADERS, 1, trailers))
        return meter.outcome()

    outcome = asyncio.run(refused())
    assert (outcome.count, outcome.refused, outcome.failures) == counts


@pytest.mark.parametrize(("at_least", "reached"), [(True, "yes"), (False, "no")])
def test_the_median_decides_whether_a_goal_is_reached(*, at_least: bool, reached: str) -> None:
    goal = Goal(what="a ÷ b", bound=0.85, found=[0.2, 0.9, 0.95], at_least=at_least)
    assert goal.cells() == ("a ÷ b", f"{'≥' if at_least else '≤'} 0.85 ×", "0.90 (0.20–0.95) ×", reached)  # noqa: RUF001


def sample(count: int, **failures: int) -> Sample:
    outcome = Outcome(
        count=count, seconds=2, curve_ms=curve_ms([0.001] * count), reply_bytes=1, generator_cpu_s=0.1, failures=failures or {}
    )
    return Sample.of(Run(outcome, {"worker": 0.4, "postgres": 0.1, "envoy": 0.0}, driver="wrk"))


def test_ratios_are_taken_within_each_round() -> None:
    own, base = [sample(100), sample(50)], [sample(200), sample(200)]
    assert report.ratios(own, base) == [0.5, 0.25]
    assert report.ratios(own, base, report.per_cpu_second) == [0.5, 0.25]
    assert report.above_us(own, base) == [2_500, 7_500]
    assert own[0].cpu_us == {"worker": 4_000, "postgres": 1_000, "envoy": 0}


def test_an_order_is_an_added_line_for_each_of_three_and_a_checkout() -> None:
    adds, checkouts = [sample(1_000), sample(500)], [sample(500), sample(250)]  # of 500, 1,000 and 1,000, 2,000 µs
    assert report.orders_per_cpu_second(adds, checkouts) == [400, 200]


def test_a_part_says_what_failed_and_shows_its_lines() -> None:
    lines = {("GetProduct", "REST"): [sample(100), sample(100, status=3)]}
    part = Part(title="Calls", goals=[], note="Note.", lines=lines, figures=Figures(cost_us=report.costs(lines)))
    assert part.failures() == ["GetProduct, REST: 3 failed: status"]
    assert "| GetProduct | REST | wrk | 50 (50–50) | 5,000 (5,000–5,000) | 4,000 | 1,000 | 0 |" in part.page()  # noqa: RUF001
    assert part.figures.cost_us == {"GetProduct, REST": {"worker": 4_000, "postgres": 1_000, "envoy": 0}}


def test_the_readme_quotes_the_latest_results() -> None:
    page = (bench.RESULTS / "latest.md").read_text()
    readme = bench.README.read_text()
    assert bench.quoting(readme, bench.quotable(page)) == readme, "run: make bench"
    goals = json.loads((bench.RESULTS / "latest.json").read_text())["goals"]
    assert [goal["what"] in page for goal in goals] == [True] * len(goals)


def test_every_plot_that_the_page_shows_is_there() -> None:
    plots = Path(bench.RESULTS, "plots")
    assert sorted(path.stem for path in plots.glob("*.png")) == sorted(bench.PLOTS)
    assert max(path.stat().st_size for path in plots.glob("*.png")) < 100_000
