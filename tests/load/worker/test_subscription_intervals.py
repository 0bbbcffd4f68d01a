from harness.load.worker.subscription_intervals import SubscriptionIntervals


def test_what_was_noted_is_told_once():
    """Starts and ends by channel; the next report begins anew."""
    notes = SubscriptionIntervals()
    notes.opened("/default/room-0", 10)
    notes.opened("/default/room-0", 20)
    notes.closed("/default/room-0", 10, 30)
    notes.opened("/default/room-1", 5)
    assert {"/default/room-0": ([10, 20], [30]), "/default/room-1": ([5], [])} == notes.take()
    assert {} == notes.take()


def test_connection_that_ends_before_it_had_settled_is_never_owed():
    """It ceases at the instant from which it would have been owed."""
    notes = SubscriptionIntervals()
    notes.closed("/default/room-0", 40, 30)
    assert {"/default/room-0": ([], [40])} == notes.take()
