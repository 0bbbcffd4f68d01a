import pytest

from harness.core.errors import MachineError
from harness.load.ownership import list_file, may_load, require_owned
from harness.scenario.target import Target
from tests.support.plans import EMULATED


@pytest.fixture(autouse=True)
def _own_list(tmp_path, monkeypatch):
    """The list of a user who has none yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("HARNESS_OWNED_TARGETS", raising=False)


def target_at(host, http_host=None):
    endpoints = {"http": f"https://{http_host or host}/event", "realtime": f"wss://{host}/realtime"}
    auth = {"api_key_env": "KEY"}
    return Target.model_validate(
        {"name": "t", "system": "appsync-events", "endpoints": endpoints, "auth": auth}
    )


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "127.9.9.9", "[::1]:80", "localhost", "LOCALHOST"]
)
def test_this_machine_may_have_any_load(host):
    """Every spelling of loopback."""
    require_owned(target_at(host), stated=False)


def test_emulated_target_may_have_any_load():
    """It runs on this machine."""
    require_owned(EMULATED, stated=False)


def test_foreign_host_is_refused_in_one_sentence_with_the_way_out():
    """Both hosts are named, and the flag, and where it is kept."""
    with pytest.raises(MachineError) as caught:
        require_owned(target_at("a.example.org", "b.example.org"), stated=False)
    assert (
        "target t: a.example.org and b.example.org is not on the list of systems that you own, "
        "load is allowed on those only\n"
        "hint: if you may test it, pass --i-own-this-target once; the list is "
        f"{list_file()}"
    ) == str(caught.value)
    assert not list_file().exists()


def test_flag_is_asked_for_once():
    """The declaration is remembered, for this host alone."""
    require_owned(target_at("a.example.org:8443"), stated=True)
    require_owned(target_at("A.example.org"), stated=False)
    assert "a.example.org\n" == list_file().read_text("utf-8")
    with pytest.raises(MachineError):
        require_owned(target_at("b.example.org"), stated=False)


@pytest.mark.parametrize("host", ["127.0.0.1.example.org", "localhost.example.org", "192.0.2.7"])
def test_host_that_only_looks_like_this_machine_is_refused(host):
    """Nothing but loopback is here."""
    with pytest.raises(MachineError):
        require_owned(target_at(host), stated=False)


def test_list_may_have_patterns_and_remarks_and_the_environment_adds_to_it(monkeypatch):
    """A star stands for any part."""
    list_file().parent.mkdir(parents=True)
    list_file().write_text("# ours\n*.appsync-api.eu-west-1.amazonaws.com  # chat\n\n", "utf-8")
    monkeypatch.setenv("HARNESS_OWNED_TARGETS", "one.example.org, two.example.org")
    require_owned(target_at("abc.appsync-api.eu-west-1.amazonaws.com"), stated=False)
    require_owned(target_at("one.example.org", "two.example.org"), stated=False)
    with pytest.raises(MachineError):
        require_owned(target_at("abc.appsync-api.us-east-1.amazonaws.com"), stated=False)


@pytest.mark.parametrize("pattern", ["*", "*.*", "??*"])
def test_pattern_of_wildcards_alone_names_no_host(monkeypatch, pattern):
    """Otherwise the list would allow every system."""
    monkeypatch.setenv("HARNESS_OWNED_TARGETS", pattern)
    with pytest.raises(MachineError):
        require_owned(target_at("a.example.org"), stated=False)


def test_address_with_a_wildcard_is_not_remembered():
    """As an entry of the list it would allow other hosts."""
    with pytest.raises(MachineError):
        require_owned(target_at("*.example.org"), stated=True)
    assert not list_file().exists()


def test_list_that_cannot_be_written_asks_again(monkeypatch, tmp_path):
    """The run goes on all the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    require_owned(target_at("a.example.org"), stated=True)
    with pytest.raises(MachineError):
        require_owned(target_at("a.example.org"), stated=False)


def test_address_of_a_hybrids_polls_must_be_owned_too():
    """Viewers load it as they load the endpoints."""
    polled = {"poll_address": "https://polls.example.org/{channel}"}
    target = {"name": "t", "system": "hybrid", "emulated": False, "client": polled}
    target["endpoints"] = {"http": "https://127.0.0.1/event", "realtime": "wss://127.0.0.1/event"}
    target["auth"] = {"api_key_env": "KEY"}
    with pytest.raises(MachineError, match=r"polls\.example\.org is not on the list"):
        require_owned(Target.model_validate(target), stated=False)


REMOTE = "https://chat.example.org/pub", "wss://chat.example.org/sub"
LOCAL = "http://127.0.0.1:8000/pub", "ws://localhost:8001/sub"


@pytest.mark.parametrize(
    ("own", "address", "allowed"),
    [
        (REMOTE, "https://chat.example.org/x", True),
        (REMOTE, "https://CHAT.example.org:8443/x", True),
        (REMOTE, "https://other.example.org/x", False),
        (REMOTE, "http://127.0.0.1:2375/containers/create", False),
        (REMOTE, "https://127.0.0.1/", False),
        (REMOTE, "http://[::1]:5557/", False),
        (REMOTE, "https://localhost/", False),
        (REMOTE, "https://a.localhost/", False),
        (LOCAL, "http://localhost:8000/x", True),
        (LOCAL, "http://[::1]:8001/x", True),
        (LOCAL, "http://127.0.0.1:2375/x", False),
        (LOCAL, "http://127.0.0.1/", False),
        (LOCAL, "https://chat.example.org/x", False),
    ],
)
def test_redirect_leads_to_the_target_and_to_nothing_else_on_this_machine(own, address, allowed):
    """A target elsewhere must not reach this machine, nor one here what listens beside it."""
    assert allowed == may_load(own, address)


def test_redirect_to_another_port_here_is_allowed_where_the_list_says_so(monkeypatch):
    """The owner names this machine as for any other host."""
    monkeypatch.setenv("HARNESS_OWNED_TARGETS", "127.0.0.1,other.example.org")
    assert may_load(LOCAL, "http://127.0.0.1:8443/x")
    assert may_load(REMOTE, "https://other.example.org/x")
    assert not may_load(LOCAL, "http://[::1]:8443/x")
