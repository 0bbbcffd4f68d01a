from harness.scenario.resolved import (
    decode_plan,
    decode_target,
    encode_plan,
    encode_target,
    plan_file,
)
from tests.scenario.conftest import REAL_TARGET


def test_plan_is_the_same_on_the_other_side(scenario):
    """With the keys of its system's own tables."""
    plan = scenario.plan("target.emulator.api_keys=['da2-x']", "publishing.rate_per_s=3")
    decoded = decode_plan(encode_plan(plan))
    assert plan == decoded
    assert type(plan.target.emulator) is type(decoded.target.emulator)


def test_target_is_the_same_on_the_other_side_and_one_line(scenario):
    """Orders follow it on the same pipe."""
    target = scenario.plan().target
    line = encode_target("t.toml", target)
    assert ("t.toml", target) == decode_target(line)
    assert [line] == line.splitlines(keepends=True)


def test_plan_holds_names_of_secrets_and_no_secrets(scenario, monkeypatch):
    """What only the environment knows stays there."""
    for name in ("HTTP_HOST", "REALTIME_HOST"):
        monkeypatch.setenv(name, "example.org")
    monkeypatch.setenv("REAL_KEY", "da2-very-secret")
    scenario.write(target=REAL_TARGET)
    text = encode_plan(scenario.plan())
    assert b"REAL_KEY" in text
    assert b"da2-very-secret" not in text


def test_plan_file_is_private_and_goes(scenario):
    """Nobody else on the machine can read it."""
    plan = scenario.plan()
    with plan_file(plan) as file:
        assert 0o600 == file.stat().st_mode & 0o777
        assert plan == decode_plan(file.read_bytes())
    assert not file.exists()
