"""A Locust user that holds a cohort of connections: the same run, with fewer users."""

from tests.support.runs import SHORT, after

USERS = 100


def cohorts(launcher):
    return launcher.run(SHORT | {"population.connections_per_user": 7}).outcome()


@after(cohorts)
def test_cohorts_join_at_the_pace_of_single_users(outcome):
    """All 100 join, each in its turn, half a second for all of them; nothing owed is lost."""
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left), outcome.said
    assert USERS == outcome.summary["joins"]["succeeded"]
    deliveries = outcome.summary["deliveries"]
    assert deliveries["received"] == deliveries["owed"] > 0
    starts_ns = outcome.table("connections")["join_start_ns"]
    elapsed_s = (starts_ns - outcome.run["epoch_ns"]).sort_values() / 1e9
    half, last = elapsed_s.iloc[USERS // 2], elapsed_s.iloc[-1]
    assert 0.25 <= half < last
    assert 0.49 <= last
