import multiprocessing
import random
import statistics

import pytest

from harness.emulation.fault_choices import Chance, Claims, Members, draw_delay_s
from harness.scenario.faults import FixedDelay, LognormalDelay, UniformDelay
from tests.support.waiting import PATIENCE_S


@pytest.mark.parametrize("ratio", [0.001, 0.3, 1.0])
def test_chance_hits_as_often_as_its_ratio_says(ratio):
    """Within five standard deviations of the mean of 100,000 trials; always where it is certain."""
    chance = Chance(ratio, random.Random(1))
    hits = sum(chance.hits() for _ in range(100_000))
    assert abs(hits - ratio * 100_000) <= 5 * (100_000 * ratio * (1 - ratio)) ** 0.5


def test_chance_says_how_many_it_spares():
    """So many things may be passed over at once, and then one is hit."""
    chance = Chance(0.01, random.Random(7))
    spared = chance.spared
    assert spared > 0
    assert [*[False] * spared, True] == [chance.hits() for _ in range(spared + 1)]


def claim_all(file, won):
    claims = Claims(file)
    won.put(sum(claims.claim(3, 500) for _ in range(1000)))
    claims.close()


def test_claims_of_several_processes_add_up_to_the_limit(tmp_path):
    """However they race, together they get exactly what there is."""
    context = multiprocessing.get_context("spawn")
    won = context.Queue()
    racers = [context.Process(target=claim_all, args=(tmp_path / "c", won)) for _ in range(2)]
    for racer in racers:
        racer.start()
    shares = [won.get(timeout=PATIENCE_S) for _ in racers]
    for racer in racers:
        racer.join(10)
    assert 500 == sum(shares)


def test_claims_of_one_fault_leave_those_of_another(tmp_path):
    """Each place has a limit of its own."""
    claims = Claims(tmp_path / "claims")
    assert [True, True, False] == [claims.claim(0, 2) for _ in range(3)]
    assert [True, False] == [claims.claim(1, 1) for _ in range(2)]
    claims.close()


@pytest.mark.parametrize(("share", "present", "expected"), [(0.3, 10, 3), (0.25, 6, 2), (1, 7, 7)])
async def test_share_of_the_open_connections_is_exact(stand, share, present, expected):
    """Rounded to whole connections, half upwards."""
    stand.join(present)
    assert expected == len(list(Members(stand.writer, share, random.Random(1))))


@pytest.mark.parametrize("share", [0.04, 0.3, 0.5, 0.96])
async def test_share_of_the_connections_that_come_later_is_exact_at_any_time(stand, share):
    """After each of a thousand the share is right to the nearest whole connection."""
    members = Members(stand.writer, share, random.Random(1))
    for come in range(1, 1001):
        stand.join()
        assert abs(len(list(members)) - share * come) <= 0.5 + 1e-9


async def test_share_is_chosen_by_the_seed(stand):
    """The same seed chooses the same connections, another one others."""
    stand.join(100)
    choices = [
        [connection.number for connection in Members(stand.writer, 0.2, random.Random(seed))]
        for seed in (1, 1, 2)
    ]
    assert choices[0] == choices[1] != choices[2]


def test_delays_have_the_quantiles_they_were_told():
    """Within about five standard errors of 20,000 draws."""
    rng = random.Random(1)
    lognormal = LognormalDelay(distribution="lognormal", median=100, p99=400)
    drawn = statistics.quantiles([draw_delay_s(lognormal, rng) for _ in range(20_000)], n=100)
    assert [0.1, 0.4] == pytest.approx([drawn[49], drawn[98]], rel=0.08)
    uniform = UniformDelay(distribution="uniform", minimum=10, maximum=30)
    drawn = [draw_delay_s(uniform, rng) for _ in range(20_000)]
    assert [0.01, 0.03, 0.02] == pytest.approx(
        [min(drawn), max(drawn), statistics.mean(drawn)], rel=0.01
    )
    assert 0.25 == draw_delay_s(FixedDelay(distribution="fixed", value=250), rng)
