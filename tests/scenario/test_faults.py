import pytest
from pydantic import TypeAdapter, ValidationError

from harness.scenario.faults import Delay, Drop, Faults, FixedDelay, LognormalDelay

FAULTS = TypeAdapter(Faults)


def rules_broken(*faults):
    """Return the place and the rule of each problem."""
    with pytest.raises(ValidationError) as caught:
        FAULTS.validate_python(faults)
    return [(detail["loc"], detail["msg"]) for detail in caught.value.errors()]


def test_faults_are_told_apart_by_their_kind():
    """A list as TOML and JSON have it becomes a tuple of the right models."""
    delay, drop = FAULTS.validate_json(
        b'[{"kind": "delay", "delay_ms": 250}, {"kind": "drop", "deliveries": [[3, 1]]}]'
    )
    assert isinstance(delay, Delay)
    assert FixedDelay(distribution="fixed", value=250) == delay.delay_ms
    assert isinstance(drop, Drop)
    assert ((3, 1),) == drop.deliveries


def test_delay_may_be_a_distribution():
    """Given as a table, with its own keys."""
    table = {"distribution": "lognormal", "median": 50, "p99": 200}
    (delay,) = FAULTS.validate_python([{"kind": "delay", "delay_ms": table}])
    assert LognormalDelay(distribution="lognormal", median=50, p99=200) == delay.delay_ms


def test_faults_survive_being_handed_on_as_json():
    """The emulator's processes get them that way, every default written out."""
    faults = FAULTS.validate_python(
        [
            {"kind": "drop", "deliveries": [[0, 0]]},
            {"kind": "reorder", "ratio": 0.5, "count": 3, "depth": 2, "until_s": 9},
            {"kind": "slow_accept", "delay_ms": 5},
            {"kind": "refuse_connects", "status": 503},
        ]
    )
    assert faults == FAULTS.validate_json(FAULTS.dump_json(faults))
    assert faults == FAULTS.validate_python(FAULTS.dump_python(faults, mode="json"))


@pytest.mark.parametrize(
    ("fault", "place", "rule"),
    [
        ({"kind": "mishap"}, (0,), "'mishap'"),
        ({"kind": "drop", "colour": 1}, (0, "drop", "colour"), "not permitted"),
        ({"kind": "drop", "ratio": 0.0}, (0, "drop", "ratio"), "greater than 0"),
        ({"kind": "drop", "ratio": 0.1, "deliveries": [[0, 0]]}, (0, "drop"), "share, ratio"),
        ({"kind": "drop", "deliveries": [[0, -1]]}, (0, "drop", "deliveries", 0, 1), "or equal"),
        ({"kind": "stall", "from_s": 5.0, "until_s": 5.0}, (0, "stall", "until_s"), "after from_s"),
        ({"kind": "disconnect", "until_s": 5.0}, (0, "disconnect", "until_s"), "not permitted"),
        ({"kind": "disconnect", "code": 200}, (0, "disconnect", "code"), "or equal to 1000"),
        (
            {"kind": "delay", "delay_ms": {"distribution": "uniform", "minimum": 5, "maximum": 5}},
            (0, "delay", "delay_ms", "uniform", "maximum"),
            "above minimum = 5",
        ),
        (
            {"kind": "delay", "delay_ms": {"distribution": "lognormal", "median": 9, "p99": 8}},
            (0, "delay", "delay_ms", "lognormal", "p99"),
            "above median = 9",
        ),
        ({"kind": "delay", "delay_ms": True}, (0, "delay", "delay_ms"), "dictionary"),
    ],
)
def test_rules_of_the_faults(fault, place, rule):
    """Each problem is found where it is."""
    ((found, message),) = rules_broken(fault)
    assert place == found
    assert rule in message
