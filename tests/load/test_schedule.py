import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.schedule import Schedule, disturbance_order, join_offsets_s
from tests.support.plans import make_plan, revised

SIZES = {"distribution": "lognormal", "median": 300, "p99": 900, "maximum": 9000}
WARM_UP_S, MEASURE_END_S = 11.0, 33.0
CHANNELS = 3
PROBES_S = [WARM_UP_S + share for share in (1 / 6, 3 / 6, 5 / 6)]


def without_probes(schedule):
    """Intended times of the messages that the rate asks for."""
    probes = [np.abs(schedule.intended_s - probe_s).argmin() for probe_s in PROBES_S]
    return np.delete(schedule.intended_s, probes)


@given(workers=st.integers(1, 9), batch_size=st.integers(1, 5))
def test_union_over_workers_is_the_one_worker_schedule(workers, batch_size):
    """However many workers there are, the same messages leave at the same times."""
    schedule = Schedule(make_plan(batch_size=batch_size))
    alone = list(schedule.part(0, 1))
    shared = [publish for worker in range(workers) for publish in schedule.part(worker, workers)]
    assert alone == sorted(shared, key=lambda publish: publish.first_message)


def test_each_publish_belongs_to_the_worker_of_its_chatter():
    """A worker sends only for users it holds."""
    assert {2} == {publish.chatter % 4 for publish in Schedule(make_plan()).part(2, 4)}


def test_same_seed_gives_the_same_schedule_and_another_seed_another():
    """A run can be repeated to the last message."""
    plan = make_plan()
    first = Schedule(plan).intended_s.tolist()
    assert first == Schedule(plan).intended_s.tolist()
    assert first != Schedule(revised(plan, seed=8)).intended_s.tolist()


def test_uniform_arrivals_are_evenly_spaced_from_warm_up_to_the_end_of_measuring():
    """50 messages a second for 22 s: 1,100 of them, 20 ms apart, the first after half a gap."""
    intended_s = without_probes(Schedule(make_plan(arrival="uniform")))
    assert 1100 == len(intended_s)
    assert intended_s[0] == pytest.approx(WARM_UP_S + 0.01)
    assert np.diff(intended_s) == pytest.approx(0.02)
    assert intended_s[-1] < MEASURE_END_S


def test_poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process():
    """Gaps are exponential: their mean and their standard deviation are equal."""
    intended_s = without_probes(Schedule(make_plan(rate_per_s=2000.0)))
    gaps_s = np.diff(intended_s)
    assert len(intended_s) == pytest.approx(44_000, rel=0.02)
    assert gaps_s.std() == pytest.approx(gaps_s.mean(), rel=0.03)
    assert (gaps_s >= 0).all()


def test_warm_up_begins_with_a_probe_on_each_channel():
    """However rare messages are, every channel carries one before the measuring starts."""
    schedule = Schedule(make_plan(rate_per_s=0.001, arrival="uniform"))
    assert schedule.intended_s.tolist() == pytest.approx(PROBES_S)
    assert [0, 1, 2] == schedule.channel.tolist()


def test_burst_multiplies_the_rate_for_its_length():
    """Every 5 s the last second carries six times the calm rate."""
    burst = {"factor": 6.0, "length_s": 1.0, "every_s": 5.0}
    intended_s = without_probes(Schedule(make_plan(arrival="uniform", burst=burst))) - WARM_UP_S
    assert [50, 50, 50, 50, 300] * 4 + [50, 50] == np.bincount(intended_s.astype(int)).tolist()


def test_batches_divide_the_publishes_and_keep_the_message_rate():
    """Five messages a publish: a fifth of the publishes, numbered five apart."""
    publishes = list(Schedule(make_plan(arrival="uniform", batch_size=5)).part(0, 1))
    assert 220 + CHANNELS == len(publishes)
    assert [0, 5, 10] == [publish.first_message for publish in publishes[:3]]
    assert {5} == {len(publish.bytes_each) for publish in publishes}


def test_fixed_sizes_are_that_size():
    """No spread where none was asked for."""
    plan = make_plan(event_bytes={"distribution": "fixed", "value": 640})
    assert {640} == set(Schedule(plan).bytes.ravel().tolist())


def test_lognormal_sizes_have_the_median_and_99th_percentile_asked_for():
    """The distribution is described by what people can measure."""
    sizes = Schedule(make_plan(rate_per_s=2000.0, event_bytes=SIZES)).bytes
    assert np.median(sizes) == pytest.approx(300, rel=0.02)
    assert np.percentile(sizes, 99) == pytest.approx(900, rel=0.05)


def test_chosen_sizes_come_as_often_as_their_weights_say():
    """Of a hundred events nine are of the second size and one of the third."""
    chosen = {"distribution": "choice", "values": [200, 5500, 33_000], "weights": [90, 9, 1]}
    sizes = Schedule(make_plan(rate_per_s=2000.0, event_bytes=chosen)).bytes.ravel()
    values, counts = np.unique(sizes, return_counts=True)
    assert [200, 5500, 33_000] == values.tolist()
    assert counts / len(sizes) == pytest.approx([0.9, 0.09, 0.01], rel=0.15)


def test_chosen_sizes_without_weights_come_alike():
    """Two sizes share the events in halves."""
    chosen = {"distribution": "choice", "values": [200, 5500]}
    sizes = Schedule(make_plan(rate_per_s=2000.0, event_bytes=chosen)).bytes
    assert np.mean(sizes == 200) == pytest.approx(0.5, rel=0.03)


def test_zipf_skew_makes_the_first_channel_the_most_popular():
    """With skew 1 and three channels the shares are 6/11, 3/11 and 2/11."""
    channels = Schedule(make_plan(rate_per_s=2000.0)).channel
    shares = np.bincount(channels, minlength=3) / len(channels)
    assert shares == pytest.approx([6 / 11, 3 / 11, 2 / 11], abs=0.01)


def test_joins_are_spread_evenly_over_the_ramp():
    """90 + 10 users at 10 a second: each class fills the 10 s, at its own even pace."""
    plan = make_plan()
    offsets = np.concatenate(
        (join_offsets_s(plan, "subscriber", 90), join_offsets_s(plan, "chatter", 10))
    )
    assert [10] * 10 == np.bincount(np.floor(offsets).astype(int)).tolist()


def disturbed(*disturbances, **publishing):
    """The plan of 90 + 10 users with these disturbances."""
    plan = make_plan(**publishing)
    workload = plan.workload.model_validate(
        plan.workload.model_dump(exclude_none=True) | {"disturbances": disturbances}
    )
    return plan.model_copy(update={"workload": workload})


def test_flash_flash_stays_away_and_then_comes_at_its_own_rate():
    """A fifth of 90 waits for second 5 of the measuring and is in within a second."""
    plan = disturbed({"kind": "flash_crowd", "at_s": 5.0, "share": 0.2, "rate_per_s": 20.0})
    offsets_s = join_offsets_s(plan, "subscriber", 90)
    flash_s = plan.measure_start_s + 5.0
    late = offsets_s[offsets_s >= flash_s]
    assert 18 == len(late)
    assert late.max() < flash_s + 1.0
    assert offsets_s.min() < 1.0


def test_timetable_waits_only_for_those_who_join_at_first():
    """80 of 100 users at 10 a second are in after 8 s."""
    plan = disturbed({"kind": "flash_crowd", "at_s": 5.0, "share": 0.2})
    assert 8.0 == plan.phases[0].end_s
    assert join_offsets_s(plan, "chatter", 10)[:1] < 8.0


def test_two_flash_crowds_take_different_users():
    """No user is held back twice, so no user is missing from the first joins without need."""
    crowds = [{"kind": "flash_crowd", "at_s": at_s, "share": 0.4} for at_s in (5.0, 10.0)]
    offsets_s = join_offsets_s(disturbed(*crowds), "subscriber", 90)
    measure_s = disturbed(*crowds).measure_start_s
    assert [18, 36, 36] == np.histogram(
        offsets_s, [0.0, measure_s, measure_s + 7.5, measure_s + 20.0]
    )[0].tolist()


def test_disturbance_order_is_the_same_for_the_same_seed_and_another_for_another_disturbance():
    """A run can be repeated; two disturbances do not always hit the same people."""
    plan = make_plan()
    first = disturbance_order(plan, "subscriber", 90, 0).tolist()
    assert first == disturbance_order(plan, "subscriber", 90, 0).tolist()
    assert first != disturbance_order(plan, "subscriber", 90, 1).tolist()
    assert list(range(90)) == sorted(first)


def test_burst_on_the_timeline_multiplies_the_rate_while_it_lasts():
    """50 messages a second, 150 in the two seconds of a burst of factor 3."""
    burst = {"kind": "burst", "at_s": 4.0, "length_s": 2.0, "factor": 3.0}
    plan = disturbed(burst, arrival="uniform")
    into_s = Schedule(plan).intended_s - plan.measure_start_s
    per_second = np.bincount(into_s[into_s >= 0].astype(int))
    assert [50, 50, 50, 50, 150, 150, 50] == per_second[:7].tolist()


def test_burst_on_the_timeline_comes_on_top_of_the_recurring_ones():
    """Where both are on, their factors multiply."""
    single = {"kind": "burst", "at_s": 0.0, "length_s": 20.0, "factor": 2.0}
    recurring = {"factor": 3.0, "length_s": 1.0, "every_s": 4.0}
    plan = disturbed(single, arrival="uniform", burst=recurring)
    into_s = Schedule(plan).intended_s - plan.measure_start_s
    assert len(into_s[into_s >= 0]) == pytest.approx(20 * 50 * 2 * (3 * 1 + 1 * 3) / 4)
