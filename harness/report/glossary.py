"""What pages explain: the figures of a run's summary, and the words beside them."""

import re
from collections.abc import Iterable
from typing import Final

from harness.core.metric_types import Definition
from harness.core.metrics import CATALOGUE, current_name, path_of

OF_RUNS: Final = (*(term.key for term in CATALOGUE), "time")
OF_SWEEPS: Final = ("capacity", "step", "offered", "backlog", "knee", "headroom", "law")
OF_COSTS: Final = (
    *("usd_day", "idle", "line", "quantity", "users_billed", "break_even", "travel_together"),
    *("used", "billed"),
)
OF_STUDIES: Final = ("tried", "paper", "beside", "as_measured")
"""Which words each kind of page needs."""

# One term in a few lines, as a table.
# fmt: off
_WORDS: Final = (
    Definition(
        "time", "time in a run",
        "Seconds since the run began, by the run clock; a length is from one of them to another.",
    ),
    Definition(
        "capacity", "capacity",
        "The highest load tried at which every objective held and no backlog grew. Where no load "
        "failed, or the next run was invalid, it is a lower bound.",
    ),
    Definition(
        "step", "step",
        "From the capacity to the lowest load above it at which something did not hold: how "
        "finely the capacity is known.",
    ),
    Definition(
        "offered", "offered load",
        "The load that the schedule asks for: messages times the subscribers that each of them "
        "reaches, in deliveries a second.",
    ),
    Definition(
        "backlog", "growth and backlog",
        "By how much the latency rose each second while measuring. A rise that is clear and at "
        "least 10 ms a second is a backlog: such a load cannot be sustained.",
    ),
    Definition("knee", "knee", "Where latency begins to bend upwards over the loads, by Kneedle."),
    Definition(
        "headroom", "headroom",
        "Capacity divided by the same load in the reference workload; below 1 the system, as it "
        "was tested, does not carry that workload.",
    ),
    Definition(
        "law", "Universal Scalability Law",
        "Throughput X(N) = γN ÷ (1 + α(N − 1) + βN(N − 1)) over the work N in the system at once, "
        "fitted to the steps without a backlog. Residuals are measured less fitted, as shares of "
        "the highest throughput.",
    ),
    Definition(
        "usd_day", "cost of a day",
        "US dollars for the whole day that the page is about, at list prices: the sum of the "
        "lines of a bill.",
    ),
    Definition(
        "idle", "idle cost",
        "The cost of a day without users and messages: what is provisioned all the same.",
    ),
    Definition(
        "line", "line of a bill",
        "Quantity times price. The quantity comes from the formula in its row, the price from the "
        "source named there.",
    ),
    Definition(
        "quantity", "quantity",
        "How many of a price's units a day uses, by the formula in its row.",
    ),
    Definition("users_billed", "users", "How many users the bill is for, connected all day."),
    Definition(
        "break_even", "break-even point",
        "Where two alternatives cost the same, with everything else as on the page; found by "
        "bisection on their bills.",
    ),
    Definition(
        "travel_together", "events a day, and their bytes",
        "What is published when messages travel together, or are of another size: an event holds "
        "all messages of its window, and its bytes decide how many units it is billed as.",
    ),
    Definition(
        "used", "measured operations", "What a run used of the system, counted from its record."
    ),
    Definition(
        "billed", "billed by the emulator",
        "The same operations, as counted by the emulator on its side of the connection.",
    ),
    Definition(
        "tried", "size",
        "How much of what is needed the smallest of the runs asked of the system: users "
        "connected at the peak, deliveries owed a second, or chatters.",
    ),
    Definition(
        "paper", "on paper",
        "What a provider's default quota, or its list price, implies for what is needed. No run "
        "was made for it; the sources stand above the table.",
    ),
    Definition(
        "beside", "against the first",
        "Divided by the same figure of the first system, with its 95 % confidence interval: a "
        "moving-block bootstrap over the seconds of the runs.",
    ),
    Definition(
        "as_measured", "a day as measured",
        "A day of the need with the mean event size, the reach of a message and the handler calls "
        "of a run in place of those assumed.",
    ),
)
# fmt: on

_EXPLAINED: Final = (*CATALOGUE, *_WORDS)
_TERMS: Final = {term.key: term for term in _EXPLAINED} | {
    metric.name: term for term in CATALOGUE for metric in term.metrics
}


def anchor(name: str) -> str:
    """Return the id on a page of what explains a figure, a block or a word; empty for nothing."""
    is_of_requests = path_of(name)[0] == "requests"
    term = _TERMS.get("requests" if is_of_requests else current_name(name))
    return _id(term) if term else ""


def definitions(names: Iterable[str]) -> list[tuple[str, Definition]]:
    """Return what explains any of the figures and words, with its id, each once."""
    wanted = {anchor(name) for name in names}
    return [(_id(term), term) for term in _EXPLAINED if _id(term) in wanted]


def _id(term: Definition) -> str:
    return "define-" + re.sub(r"\W+|_", "-", term.key)


def capital(text: str) -> str:
    """Return text that begins with a capital letter."""
    return text[:1].upper() + text[1:]
