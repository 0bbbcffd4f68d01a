import json
import re

import pytest
import typer

from harness.cli import sweep_runs
from harness.cli.sweep import sweep
from harness.core.errors import MachineError, ScenarioError
from harness.core.exit_codes import ExitCode
from harness.scenario.loading import load_plan
from tests.support.paths import ROOT
from tests.support.simulated_run import Simulation

WORKLOAD = ROOT / "scenarios/workloads/ci-smoke.toml"
TARGET = ROOT / "scenarios/targets/appsync-events-emulated.toml"


class Emulated:
    """Stands in for a run: writes a record whose latencies break above a limit.

    Args:
        limit: Subscribers up to which the system holds.
        generator_limit: Subscribers up to which the load generator does.
        ends: Exit codes of runs that end otherwise, by their number from 1.
    """

    def __init__(self, limit, generator_limit=1e9, ends=None):
        self.limit, self.generator_limit, self.ends = limit, generator_limit, ends or {}
        self.loads = []

    def __call__(self, command, plan, folder, *, make_report):
        load = plan.workload.population.subscribers
        self.loads.append(load)
        if code := self.ends.get(len(self.loads)):
            return code
        Simulation(
            subscribers=18,
            chatters=2,
            measure_s=6,
            median_ms=12.0 if load <= self.limit else 700.0,
            spread=0.2,
            changes=self._changes(plan, load),
        ).write(folder)
        make_report(folder)
        return 0

    def _changes(self, plan, load):
        from harness.analysis.run.validity import warning
        from harness.load.sizing import size_plan
        from harness.measure.machine import read_machine

        data = size_plan(plan, read_machine(), None)[0].recorded()
        too_much = [warning("generator_cpu", 0.99, 0.95, "")] if load > self.generator_limit else []
        return {"plan": data, "verdict": "pass", "warnings": too_much}


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Return a function that sweeps a simulated system and returns exit code, JSON and loads."""

    def swept(system, out="sweep", **options):
        monkeypatch.setattr(sweep_runs, "run_load", system)
        monkeypatch.setattr("harness.report.write.write_report", lambda _: None)  # It takes 1 s.
        folder = tmp_path / out
        with pytest.raises(typer.Exit) as ended:
            sweep(WORKLOAD, TARGET, along="subscribers", start=20, out=folder, **options)
        return ended.value.exit_code, json.loads((folder / "sweep.json").read_text()), system.loads

    return swept


def test_the_edge_is_found_and_told(play, capsys, tmp_path):
    """Each step on stderr as it ends, the answer on stdout, JSON and page beside the runs."""
    code, data, loads = play(Emulated(70), step="10")
    assert (0, [20, 40, 80, 60, 70]) == (code, loads)
    (cell,) = data["cells"]
    assert ("completed", "found", 70.0, 80.0) == (
        data["status"],
        *(cell[key] for key in ("result", "capacity", "not_held_at")),
    )
    said = capsys.readouterr()
    assert "step 3: 80 subscribers, failed" in said.err
    assert "objective failed: fan_out_latency_ms.p99" in said.err
    assert said.out.startswith("capacity: 70 subscribers\n")
    assert f"page: {tmp_path / 'sweep' / 'sweep.html'}" in said.out
    names = [f"0{n}-subscribers-{load}" for n, load in enumerate(loads, 1)]
    assert [*names, "sweep-charts"] == folders_in(tmp_path / "sweep")
    charts = {one.name for one in (tmp_path / "sweep" / "sweep-charts").iterdir()}
    assert {"sweep-latency-1.png", "sweep-latency-1.svg"} <= charts


def folders_in(folder):
    """Return the names of the folders in a folder."""
    return sorted(one.name for one in folder.iterdir() if one.is_dir())


def test_a_generator_that_breaks_gives_a_lower_bound(play, capsys):
    """Exit 4, and "at least" in words."""
    code, data, loads = play(Emulated(1000, generator_limit=50), step="10")
    assert (4, [20, 40, 80, 80, 60, 60, 50]) == (code, loads)
    assert "at_least_generator" == data["cells"][0]["result"]
    out = capsys.readouterr().out
    assert "capacity: at least 50 subscribers" in out
    assert "the run was invalid" in out


def test_nothing_held_exits_3(play, capsys):
    """Down to one subscriber."""
    code, data, loads = play(Emulated(0), step="10", factor=10.0)
    assert (3, "none_held", [20, 2]) == (code, data["cells"][0]["result"], loads)
    assert "No load held, down to 2 subscribers" in capsys.readouterr().out


def test_the_end_of_the_range_is_a_lower_bound(play, capsys):
    """Nothing broke: exit 0 and "at least"."""
    code, data, _ = play(Emulated(1000), most=50.0)
    assert (0, "at_least_most", 50.0) == (
        code,
        data["cells"][0]["result"],
        data["cells"][0]["capacity"],
    )
    assert "at least 50 subscribers" in capsys.readouterr().out


def test_an_interrupted_sweep_goes_on_where_it_stopped(play, capsys, tmp_path):
    """Exit 130 with what is known so far; the second time only the rest is run."""
    code, data, loads = play(Emulated(70, ends={4: ExitCode.INTERRUPTED}), step="10")
    assert (130, "interrupted", [20, 40, 80, 60]) == (code, data["status"], loads)
    assert f"--out {tmp_path / 'sweep'} resumes" in capsys.readouterr().err
    code, data, loads = play(Emulated(70), step="10")
    assert (0, "completed", [60, 70]) == (code, data["status"], loads)
    assert 5 == len(data["cells"][0]["steps"])
    steps = [name[:2] for name in folders_in(tmp_path / "sweep") if name != "sweep-charts"]
    assert ["01", "02", "03", "04", "05"] == steps


def test_a_finer_step_goes_on_in_the_same_folder(play):
    """Steps on disk are not run again."""
    play(Emulated(70), step="20")
    code, data, loads = play(Emulated(70), step="5")
    assert (0, 70.0, [70, 75]) == (code, data["cells"][0]["capacity"], loads)


def test_repeats_have_seeds_of_their_own_and_are_not_taken_for_each_other(play):
    """Two runs of a load at the edge are two runs."""
    code, data, loads = play(Emulated(70), step="20", repeats=2)
    assert (0, [20, 40, 80, 60, 60]) == (code, loads)
    runs = [step["run"] for step in data["cells"][0]["steps"]]
    assert len(runs) == len(set(runs))


def test_a_grid_searches_once_for_each_of_its_loads(play, capsys):
    """With a capacity for each."""
    code, data, loads = play(Emulated(70), step="20", grid=["publish-rate=2,4"])
    assert (0, [{"publish-rate": 2.0}, {"publish-rate": 4.0}]) == (
        code,
        [cell["fixed"] for cell in data["cells"]],
    )
    assert [20, 40, 80, 60] * 2 == loads
    assert "capacity with 4 messages/s: 60 subscribers" in capsys.readouterr().out


def test_a_step_that_ends_with_an_error_ends_the_sweep(play, capsys):
    """With its exit code, and what to do."""
    code, data, _ = play(Emulated(70, ends={2: ExitCode.BAD_USAGE}))
    assert (2, "interrupted") == (code, data["status"])
    assert "ended with exit code 2, a step must be measured to its end" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"along": "subscriber"}, "--along must be one of subscribers, publish-rate"),
        ({"step": "0"}, "--step must be a percentage"),
        ({"step": "150%"}, "--step must be a percentage"),
        ({"factor": 1.0}, "--factor must be above 1"),
        ({"along": "subscribers", "start": 1.5}, "--from must be a whole number above 0"),
        ({"start": 50.0, "most": 10.0}, "--to must be at least --from = 50"),
        ({"grid": ["joins=x"]}, "--grid must have the form AXIS=LOAD,LOAD"),
        ({"grid": ["publish-rate=1,2"]}, "--grid must be an axis"),
        ({"along": "joins", "start": 1e5}, "users must join for at least 2 s"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_runs(options, said, tmp_path):
    """With the flag's name, and no folder."""
    with pytest.raises(ScenarioError, match=re.escape(said)):
        sweep(WORKLOAD, TARGET, out=tmp_path / "sweep", **options)
    assert not (tmp_path / "sweep").exists()


def test_what_the_machine_cannot_carry_is_refused_before_anything_runs(tmp_path):
    """A million deliveries a second, on one machine; --force would try."""
    with pytest.raises(MachineError, match="cores"):
        sweep(WORKLOAD, TARGET, start=100.0, most=1e6, out=tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    """A run's folder is no sweep's."""
    with pytest.raises(MachineError, match=r"exists already and holds no sweep\.json"):
        sweep(WORKLOAD, TARGET, start=100.0, out=tmp_path)


def test_every_axis_gives_the_load_that_was_asked_for():
    """What a plan offers along an axis is what the override was made for."""
    from harness.scenario.axes import AXES

    plan = load_plan(WORKLOAD, TARGET, overrides=["channels.count=3", "channels.zipf_skew=1"])
    for axis in AXES.values():
        override = axis.override(plan.workload, 12.0)
        made = load_plan(
            WORKLOAD, TARGET, overrides=["channels.count=3", "channels.zipf_skew=1", override]
        )
        assert pytest.approx(12.0) == axis.load_of(made.workload), axis.name


@pytest.mark.parametrize("code", [ExitCode.BAD_USAGE, ExitCode.TARGET_UNREACHABLE])
def test_a_sweep_whose_first_step_is_refused_leaves_no_folder(monkeypatch, tmp_path, code):
    """There is nothing to go on from, and the same --out can be given again."""
    monkeypatch.setattr(sweep_runs, "run_load", Emulated(70, ends={1: code}))
    with pytest.raises(typer.Exit) as ended:
        sweep(WORKLOAD, TARGET, along="subscribers", start=20, out=tmp_path / "sweep")
    assert (code, []) == (ended.value.exit_code, list(tmp_path.iterdir()))
