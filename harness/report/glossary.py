"""Words that pages use beside the figures of a run's summary, and what they mean."""

from typing import Final, NamedTuple


class Definition(NamedTuple):
    """A name for people and what it means."""

    name: str
    meaning: str


OF_RUNS: Final = ("time",)
OF_SWEEPS: Final = ("capacity", "step", "offered", "backlog", "knee", "headroom", "law")
OF_COSTS: Final = (
    *("usd_day", "idle", "line", "quantity", "users_billed", "break_even", "travel_together"),
    *("used", "billed"),
)
OF_STUDIES: Final = ("tried", "paper", "beside", "as_measured")
"""Which words each kind of page needs."""

WORDS: Final = {
    "time": Definition(
        "time in a run",
        "Seconds since the run began, by the run clock; a length is from one of them to another.",
    ),
    "capacity": Definition(
        "capacity",
        "The highest load tried at which every objective held and no backlog grew. Where nothing "
        "broke, or the load generator did, it is a lower bound.",
    ),
    "step": Definition(
        "step",
        "From the capacity to the lowest load above it at which something did not hold: how "
        "finely the capacity is known.",
    ),
    "offered": Definition(
        "offered load",
        "What the schedule asks for, whatever arrives: messages times the subscribers each of them "
        "reaches, in deliveries a second.",
    ),
    "backlog": Definition(
        "growth and backlog",
        "By how much the latency rose each second while measuring. A rise that is clear and at "
        "least 10 ms a second is a backlog: such a load cannot be sustained.",
    ),
    "knee": Definition("knee", "Where latency begins to bend upwards over the loads, by Kneedle."),
    "headroom": Definition(
        "headroom",
        "Capacity divided by the same load in the reference workload; below 1 the system, as it "
        "was tested, does not carry that workload.",
    ),
    "law": Definition(
        "Universal Scalability Law",
        "Throughput X(N) = γN ÷ (1 + α(N − 1) + βN(N − 1)) over the work N in the system at once, "
        "fitted to the steps without a backlog. Residuals are measured less fitted, as shares of "
        "the highest throughput.",
    ),
    "usd_day": Definition(
        "cost of a day",
        "US dollars for the whole day that the page is about, at list prices: the sum of the "
        "lines of a bill.",
    ),
    "idle": Definition(
        "idle cost",
        "A day with nobody connected and no message: what stands ready all the same.",
    ),
    "line": Definition(
        "line of a bill",
        "Quantity times price. The quantity comes from the formula in its row, the price from the "
        "source named there.",
    ),
    "quantity": Definition(
        "quantity",
        "How many of a price's units a day uses, by the formula in its row.",
    ),
    "users_billed": Definition("users", "How many users the bill is for, connected all day."),
    "break_even": Definition(
        "break-even point",
        "Where two ways cost the same, everything else as the page says; found by bisection on "
        "their bills.",
    ),
    "travel_together": Definition(
        "events a day, and their bytes",
        "What is published when messages travel together, or are of another size: an event holds "
        "all messages of its window, and its bytes decide how many units it is billed as.",
    ),
    "used": Definition(
        "measured operations", "What a run used of the system, counted from its record."
    ),
    "billed": Definition(
        "billed by the emulator",
        "The same as the emulator itself counted it, from its own side of the wire.",
    ),
    "tried": Definition(
        "what was tried",
        "How much of what is needed the runs asked of the system, of the smallest of them: users "
        "connected at the peak, deliveries owed a second, or chatters.",
    ),
    "paper": Definition(
        "on paper",
        "What a provider's default quota, or its list price, lets one expect of the need itself. "
        "Nothing ran for it; the sources stand above the table.",
    ),
    "beside": Definition(
        "beside the first",
        "Divided by the same figure of the first system, with where the change may lie at 95 %: a "
        "moving-block bootstrap over the seconds of the runs.",
    ),
    "as_measured": Definition(
        "a day as measured",
        "A day of the need with the mean event size, the reach of a message and the handler calls "
        "of a run in place of those assumed.",
    ),
}
"""Keyed by a word that is no dotted metric."""
