import contextlib
import re
import socket
from functools import partial

from tests.support.ports import free_port
from tests.support.runs import EMULATED, LONG, SHORT, SMOKE, TIMEOUT_S, after, after_each, elsewhere

KEYED = """
name = "keyed"
system = "appsync-events"
emulated = true
[emulator]
[auth]
api_key_env = "END_TO_END_KEY"
"""


def target_file(launcher, text):
    file = launcher.new_folder() / "target.toml"
    file.write_text(text, encoding="utf-8")
    return file


@contextlib.contextmanager
def blackhole():
    """A port whose queue is full: it neither accepts nor refuses, as behind a firewall."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def run_against(launcher, port):
    target = target_file(launcher, elsewhere(f"http://127.0.0.1:{port}/event"))
    return launcher.run(SHORT, target=target, END_TO_END_KEY="da2-any").outcome()


def closed_port(launcher):
    port = free_port()
    return run_against(launcher, port), port


def unanswered_port(launcher):
    with blackhole() as port:
        return run_against(launcher, port), port


def wrong_key(launcher):
    target = target_file(launcher, KEYED)
    return launcher.run(LONG, target=target, END_TO_END_KEY="da2-wrong").outcome()


def silent_server(launcher):
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        return run_against(launcher, server.getsockname()[1])


def bad_scenario(launcher):
    settings = {"publishing.rate_per_s": -1, "popultion.chatters": 3, "target.tls.verify": 7}
    return launcher.run(settings).outcome()


def port_in_use(launcher, command):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        return getattr(launcher, command)({"target.emulator.port": port}).outcome(), port


PORT_IN_USE = {command: partial(port_in_use, command=command) for command in ("run", "locust")}


def few_files(launcher):
    return launcher.run(SHORT, limits="ulimit -n 64").outcome()


def few_files_for_locust(launcher):
    return launcher.locust(SHORT, limits="ulimit -n 64").outcome()


def taken_folder(launcher):
    taken = launcher.new_folder()
    return launcher.harness("run", SMOKE, "--target", EMULATED, "--out", taken).outcome(), taken


def assert_refused(outcome, exit_code, *errors):
    assert (exit_code, list(errors)) == (outcome.exit_code, outcome.errors)
    assert ("", []) == (outcome.stdout, outcome.left)
    assert "Traceback" not in outcome.said
    assert not outcome.folder.exists()
    assert ["stderr", "stdout"] == sorted(path.name for path in outcome.folder.parent.iterdir())


@after(closed_port)
def test_closed_port_is_named_with_what_was_tried(outcome):
    """Nobody listens: exit 5 at once."""
    outcome, port = outcome
    tried = f"error: 127.0.0.1:{port}: connection refused (tried one TCP connection)"
    assert_refused(outcome, 5, f"{tried}, a target must accept connections")


@after(unanswered_port)
def test_silence_is_named_with_what_was_tried(outcome):
    """Nobody answers: exit 5 after five seconds, and not the kernel's own two minutes."""
    outcome, port = outcome
    tried = f"error: 127.0.0.1:{port}: no answer within 5 s (tried one TCP connection)"
    assert_refused(outcome, 5, f"{tried}, a target must accept connections")
    assert 5.0 <= outcome.seconds < TIMEOUT_S  # How soon after them is up to the machine.


@after(wrong_key)
def test_wrong_key_is_the_services_own_error_and_how_many_met_it(outcome):
    """Nobody is let in: exit 5 before the planned end, with the service's own words."""
    assert (5, []) == (outcome.exit_code, outcome.left)
    assert re.search(
        r"No user joined ws://127\.0\.0\.1:\d+/event/realtime: 100 of 100 users failed with "
        r"UnauthorizedException at stage init \(You are not authorized to make this call\.\)",
        " ".join(outcome.stdout.split()),
    )
    cause = outcome.run["cause"]
    assert ("nobody_joined", 5) == (cause["code"], cause["exit_code"])
    assert 100 == outcome.summary["joins"]["failed"]
    assert "Traceback" not in outcome.said
    assert "da2-wrong" not in (outcome.folder / "run.json").read_text("utf-8")


@after(silent_server)
def test_joins_that_never_end_have_failed(outcome):
    """A server that accepts and says nothing lets nobody in, however short the run."""
    assert (5, []) == (outcome.exit_code, outcome.left)
    assert "nobody_joined" == outcome.run["cause"]["code"]
    assert (100, 100) == tuple(outcome.summary["joins"][k] for k in ("attempted", "failed"))
    assert "Traceback" not in outcome.said


@after(bad_scenario)
def test_bad_scenario_is_every_error_at_once(outcome):
    """Exit 2, with an error for each wrong key and value."""
    assert_refused(
        outcome,
        2,
        "error: --set: publishing.rate_per_s must be > 0, got -1",
        "error: --set: popultion is not a key of a workload, got a table",
        "error: --set: target.tls.verify must be true or false, got 7",
    )
    assert "hint: did you mean population?" in outcome.stderr


@after_each(PORT_IN_USE)
def test_port_in_use_is_the_emulators_own_sentence(outcome):
    """With our command and plain Locust: exit 2, and the folder is free to be used again."""
    outcome, port = outcome
    found = f"error: emulator: 127.0.0.1:{port}: address already in use"
    assert_refused(outcome, 2, f"{found}, a free address is required")
    assert "hint: port 0 takes any free one\n" in outcome.stderr


@after(few_files)
def test_too_few_open_files_are_found_before_the_run(outcome):
    """A limit below what the users need is one sentence and exit 2."""
    assert 1 == len(outcome.errors), outcome.stderr
    assert "open files" in outcome.errors[0]
    assert "64" in outcome.errors[0]
    assert_refused(outcome, 2, *outcome.errors)


@after(few_files_for_locust)
def test_too_few_open_files_stop_plain_locust_too(outcome):
    """Plain Locust finds it as well."""
    assert 1 == len(outcome.errors), outcome.stderr
    assert "open files" in outcome.errors[0]
    assert_refused(outcome, 2, *outcome.errors)


@after(taken_folder)
def test_existing_folder_is_never_written_into(outcome):
    """A record is never overwritten: exit 2."""
    outcome, taken = outcome
    assert_refused(outcome, 2, f"error: {taken}: exists already, a run's folder must be new")
    assert "hint: choose another --out\n" in outcome.stderr
    assert [] == list(taken.iterdir())
