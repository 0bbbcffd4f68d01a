from harness.analysis.run.finalize import analyse
from tests.support.records import arrival, connection, publish, run_file, write_record

LOST = [{"index": 0}, {"index": 1, "lost_at_s": 6.0, "joined": 1}]


def analysed(tmp_path, workers):
    """Analyse two messages to a subscriber each at workers 0 and 1, whose second one was lost."""
    return analyse(
        write_record(
            tmp_path / "run",
            run=run_file(workers=workers),
            publishes=[publish(1, 5.0)],
            arrivals=[
                arrival(1, delivered=1, first_s=5.1, last_s=5.1),
                arrival(1, delivered=1, first_s=5.1, last_s=5.1, worker=1),
                arrival(2, delivered=1, first_s=6.1, last_s=6.1),
            ],
            connections=[connection(0, 1.0, delivered=2, last_s=6.1)],
        )
    )


def test_run_is_judged_without_a_worker_that_was_allowed_to_be_lost(tmp_path):
    """Its users count neither as owed nor as delivered, nor does what it sent unrecorded."""
    deliveries = analysed(tmp_path, LOST).summary["deliveries"]
    assert (1, 1, 0) == (deliveries["owed"], deliveries["received"], deliveries["lost"])


def test_without_that_the_record_contradicts_itself(tmp_path):
    """The same record of a run that lost nobody is not trusted."""
    assert "invalid" == analysed(tmp_path, [{"index": 0}, {"index": 1}]).summary["verdict"]
