from harness.scenario.event_bytes import ChoiceBytes, FixedBytes, LognormalBytes
from harness.scenario.keys import choices_of, field_at, keys_of, models_at
from harness.scenario.target import Target
from harness.scenario.workload import Burst, Workload


def test_every_key_is_found_with_its_table():
    """Tables inside tables, arrays of tables and alternatives are all walked."""
    assert {
        "name",
        "joins.rate_per_s",
        "publishing.burst.factor",
        "publishing.event_bytes.median",
        "publishing.event_bytes.value",
        "slos.metric",
    } <= {key.path for key in keys_of(Workload)}


def test_keys_of_the_target_are_its_own():
    """A table's plain keys come before its tables."""
    keys = [key.path for key in keys_of(Target)]
    assert ["name", "system", "emulated", "message"] == keys[:4]
    assert {"channel_namespace", "chatters_owed_own"} <= set(keys[4:])


def test_alternatives_are_told_apart_by_their_tag():
    """Without a tag both kinds of sizes are possible, with one only one is."""
    place = ("publishing", "event_bytes")
    assert [LognormalBytes, FixedBytes, ChoiceBytes] == models_at(Workload, place)
    assert [FixedBytes] == models_at(Workload, (*place, "fixed"))
    assert [Burst] == models_at(Workload, ("publishing", "burst"))


def test_words_a_key_may_have_are_known():
    """Words are listed for a choice, and none for a number or an unknown key."""
    assert ("<=", "<", ">=", ">", "==") == choices_of(field_at(Workload, ("slos", 0, "op")))
    assert () == choices_of(field_at(Workload, ("joins", "rate_per_s")))
    assert field_at(Workload, ("joins", "rate")) is None
