import contextlib

import pytest

from harness.emulation.faults import ConnectOutcome
from harness.systems.appsync_events.emulator.admission import Admission
from harness.systems.appsync_events.options import Quotas
from tests.support.emulator_process import Stand


@pytest.fixture
def admitting(tmp_path, now_s):
    """Return what each process lets in, and a reader of their counts."""
    with contextlib.ExitStack() as stack:

        def admit(*faults, processes=1, **quotas):
            stands = [Stand(tmp_path, index=row, processes=processes) for row in range(processes)]
            for stand in stands:
                stack.enter_context(stand).tell(*faults)
            admissions = [
                Admission(Quotas(**quotas), stand.faults, stand.counters, stand.worker_context)
                for stand in stands
            ]
            return *admissions, stands[0].truth

        yield admit


async def test_connects_above_the_quota_are_throttled_over_all_processes(admitting, now_s):
    """Whichever process a client comes to; the next second has room again."""
    first, second, truth = admitting(processes=2, connects_per_s=3)
    past, throttled = ConnectOutcome(), ConnectOutcome(throttled=True)
    assert [past, past, past] == [one.connect() for one in (first, second, first)]
    assert [throttled, throttled] == [one.connect() for one in (second, first)]
    assert 2 == truth()["connects"]["throttled"]["quota"]
    now_s[0] += 1
    assert past == second.connect()


async def test_connects_that_a_fault_turns_away_use_up_no_quota(admitting, now_s):
    """They are counted as the fault's."""
    admission, truth = admitting({"kind": "refuse_connects"}, connects_per_s=1)
    assert [ConnectOutcome(refused=True)] * 3 == [admission.connect() for _ in range(3)]
    now_s[0] += 0.5
    connects = truth()["connects"]
    assert (3, 0) == (connects["refused"]["fault"], connects["throttled"]["quota"])


async def test_inbound_events_above_the_quota_are_throttled(admitting):
    """Counted in events, over WebSocket and HTTP together; a batch passes whole or not."""
    first, second, truth = admitting(processes=2, inbound_events_per_s=10)
    assert first.publish(5, first.connection_rate()) is None
    assert second.publish(4, None) is None
    assert ("LimitExceededError", None) == first.publish(2, None)[::2]
    assert second.publish(1, None) is None
    assert 1 == truth()["publishes"]["throttled"]["quota"]


async def test_publishes_of_one_connection_above_its_quota_are_throttled(admitting, now_s):
    """25 requests a second, however many events; other connections and HTTP are not touched."""
    admission, truth = admitting()
    rate, other = admission.connection_rate(), admission.connection_rate()
    assert [None] * 25 == [admission.publish(5, rate) for _ in range(25)]
    assert "LimitExceededError" == admission.publish(1, rate).error_type
    assert [None, None] == [admission.publish(1, other), admission.publish(1, None)]
    assert 1 == truth()["publishes"]["throttled"]["connection_quota"]
    now_s[0] += 1
    assert admission.publish(1, rate) is None


async def test_publishes_are_throttled_by_a_fault(admitting):
    """With the same error, counted as the fault's."""
    admission, truth = admitting({"kind": "throttle_publishes"})
    assert "LimitExceededError" == admission.publish(1, None).error_type
    throttled = truth()["publishes"]["throttled"]
    assert (1, 0) == (throttled["fault"], throttled["quota"])


async def test_subscriptions_of_a_connection_are_limited(admitting):
    """200 by default."""
    admission, _truth = admitting()
    assert admission.subscribe(199) is None
    assert "MaxSubscriptionsReachedError" == admission.subscribe(200).error_type


async def test_without_quotas_nothing_is_throttled(admitting):
    """Not even what is far above the limits."""
    admission, _truth = admitting(enabled=False, connects_per_s=1, inbound_events_per_s=1)
    assert admission.connection_rate() is None
    assert admission.outbound is None
    assert admission.subscribe(10_000) is None
    assert {None} == {admission.publish(5, None) for _ in range(10)}
    assert {ConnectOutcome()} == {admission.connect() for _ in range(10)}
