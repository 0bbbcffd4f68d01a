import pytest

from harness.net.client import source_addresses


def test_each_worker_on_loopback_has_addresses_of_its_own_and_enough_of_them():
    """17,500 connections take five addresses, and no two workers share one."""
    first, second = (source_addresses("ws://127.0.0.1:1/", (), n, 17_500) for n in (0, 1))
    assert ("127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4", "127.0.1.5") == first
    assert set() == set(first) & set(second)


@pytest.mark.parametrize("worker", range(5))
def test_addresses_that_the_target_names_are_taken_in_turn(worker):
    """On real hosts the target says which addresses there are."""
    expected = ("10.0.0.1", "10.0.0.2")[worker % 2]
    assert (expected,) == source_addresses("wss://h/", ("10.0.0.1", "10.0.0.2"), worker, 9)


def test_elsewhere_the_kernel_chooses():
    """Without loopback and without names there is nothing to choose from."""
    assert () == source_addresses("wss://example.org/", (), 0, 9)
