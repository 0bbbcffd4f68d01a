import tomllib

import psutil
import pytest

from tests.support.paths import ROOT

pytest_plugins = ["pytester"]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

CLIENT = """
import json, urllib.request

def publish(emulator, *events, channel="/default/a"):
    body = json.dumps({"channel": channel, "events": list(events)}).encode()
    asked = urllib.request.Request(emulator.http, body, {"x-api-key": emulator.api_key})
    with urllib.request.urlopen(asked, context=emulator._trust) as answer:
        return len(json.loads(answer.read())["successful"])
"""


@pytest.fixture
def run(pytester):
    """Run tests in a process of their own, as a project that has installed the package would."""
    pytester.makepyfile(client=CLIENT)
    # What an installation of the package would leave for pytest to find.
    installed = pytester.mkdir("installed-1.0.dist-info")
    plugins = PROJECT["entry-points"]["pytest11"].items()
    lines = ["[pytest11]", *(f"{name} = {module}" for name, module in plugins)]
    (installed / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    (installed / "METADATA").write_text("Name: installed\nVersion: 1.0\n", encoding="utf-8")

    def run_tests(text, conftest=""):
        pytester.makeconftest(conftest)
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-q")

    return run_tests


def test_each_test_finds_the_emulator_with_its_counts_at_zero_and_no_faults(run, monkeypatch):
    """Also where the environment of the tests has a token for changes."""
    monkeypatch.setenv("HARNESS_CONTROL_TOKEN", "the-token")
    result = run(
        """
        from urllib.parse import urlsplit
        from client import publish
        seen = []

        def test_one(fanout_emulator):
            fanout_emulator.faults({"kind": "throttle_publishes", "ratio": 1.0})
            seen.append(fanout_emulator.http)

        def test_other(fanout_emulator):
            assert "127.0.0.1" == urlsplit(fanout_emulator.http).hostname
            assert [fanout_emulator.http] == seen
            assert fanout_emulator.realtime.startswith("ws://127.0.0.1:")
            assert fanout_emulator.ca_file is None
            assert 0 == fanout_emulator.stats()["publishes"]["accepted"]
            assert 2 == publish(fanout_emulator, "1", "2")
            assert 1 == fanout_emulator.stats()["publishes"]["accepted"]
            fanout_emulator.reset()
            assert 0 == fanout_emulator.stats()["publishes"]["accepted"]
        """
    )
    result.assert_outcomes(passed=2)
    assert "" == result.stderr.str()


@pytest.mark.slow
def test_options_of_a_project_are_those_of_the_emulator(run):
    """Namespaces, keys, processes and TLS, as in a target file."""
    conftest = """
        import pytest

        @pytest.fixture(scope="session")
        def fanout_emulator_options():
            return {"namespaces": ["chat"], "api_keys": ["da2-x"], "tls": True, "processes": 2}
    """
    result = run(
        """
        from client import publish

        def test_it(fanout_emulator):
            assert "da2-x" == fanout_emulator.api_key
            assert fanout_emulator.http.startswith("https://")
            assert fanout_emulator.realtime.startswith("wss://")
            assert 1 == publish(fanout_emulator, "1", channel="/chat/a")
        """,
        conftest,
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_wrong_option_is_explained_as_in_a_file(run):
    """The fixture is named, and the key, the value found and what to write."""
    conftest = """
        import pytest

        @pytest.fixture(scope="session")
        def fanout_emulator_options():
            return {"api_key": "da2-x", "processes": 0}
    """
    result = run("def test_it(fanout_emulator): pass", conftest)
    result.assert_outcomes(errors=1)
    said = result.stdout.str()
    assert "fanout_emulator_options: processes must be >= 1, got 0" in said
    assert "hint: did you mean api_keys?" in said
    assert "da2-x" not in said.split("ScenarioError")[-1]


@pytest.mark.slow
def test_wrong_fault_is_explained(run):
    """A kind that does not exist is refused, and named."""
    result = run(
        """
        import pytest
        from harness.core.errors import ScenarioError

        def test_it(fanout_emulator):
            with pytest.raises(ScenarioError, match="fanout_emulator: faults.0"):
                fanout_emulator.faults({"kind": "no such fault"})
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_emulator_ends_with_the_session(run, pytester):
    """No process outlives the tests, also where one of them fails."""
    result = run(
        """
        from pathlib import Path
        import psutil

        def test_it(fanout_emulator):
            pids = [child.pid for child in psutil.Process().children(recursive=True)]
            assert pids
            Path("pids").write_text(" ".join(map(str, pids)))
            raise AssertionError("on purpose")
        """
    )
    result.assert_outcomes(failed=1)
    pids = map(int, (pytester.path / "pids").read_text(encoding="utf-8").split())
    assert [] == [pid for pid in pids if psutil.pid_exists(pid)]
