import inspect
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# So that failures in what tests share show both sides, as those of test modules do.
pytest.register_assert_rewrite("tests.support")

from harness.core import outside_text  # noqa: E402
from tests.support.emulator_process import run  # noqa: E402
from tests.support.installing import install_system  # noqa: E402

__all__ = ["install_system"]

# Locust patches the standard library for gevent when it is imported. In a test process that also
# runs asyncio and threads it must not; the load side is run for real in processes of its own.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

# A suite that & or nohup has started ignores these, and so would what it starts and interrupts.
for signum, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(signum) is signal.SIG_IGN:
        signal.signal(signum, handler)

# How long an example takes says how busy the machine is, and nothing of our code.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is a coroutine, with a fixture ``run`` or on the loop of emulators."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    pyfuncitem.funcargs.get("run", run)(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def now_s(monkeypatch):
    """A clock that a test sets, in a list of one."""
    now_s = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    return now_s


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch):
    """Connect directly, whatever proxies the environment of the tests names."""
    for name in ("http", "https", "ws", "wss", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest.fixture(autouse=True)
def secrets_of_one_test(monkeypatch):
    """Forget after each test the secrets that it resolved: others may use the same words."""
    needles = {key: dict(found) for key, found in outside_text._needles.items()}
    monkeypatch.setattr(outside_text, "_needles", needles)
    monkeypatch.setattr(outside_text, "_registered", set(outside_text._registered))
    yield
    outside_text.outside_text.cache_clear()


@pytest.fixture
def outside_of_github(monkeypatch):
    """Make tests the same on a developer's machine and in a pipeline."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a text below the test's folder and returns the file."""

    def write_file(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def unexported(monkeypatch):
    """Draw charts without writing SVG and PNG, which is most of the work."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><g id="axes"/></svg>'
    monkeypatch.setattr("harness.report.canvas.to_svg", lambda _figure, _name: svg)
    monkeypatch.setattr("harness.report.canvas.to_png", lambda *_texts: b"\x89PNG")
