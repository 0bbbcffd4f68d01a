"""Whether a run's figures can be trusted, and what to do when they cannot.

A warning that invalidates a run means that the measurement was at fault, and not the system.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

from harness.analysis.run.clocks import clocks_explain_negatives, unmeasured_clocks
from harness.analysis.run.failures import join_failure_causes
from harness.analysis.run.generator import CLOCK_LIMITS, LIMITS
from harness.analysis.run.ledger import contradictions, not_routed
from harness.analysis.run.record import Json, Record, dropped_at_limits
from harness.analysis.run.slo import observe
from harness.core.clock import NS_PER_S
from harness.core.limits import SLO_STOP
from harness.core.metrics import AGGREGATED
from harness.measure.failure_causes import EXHAUSTIONS
from harness.measure.message_tracker import EXAMPLES
from harness.measure.record import LOG_FILE, TASK_STAGE
from harness.measure.record_schema import IRREGULAR_COUNTS

_SATURATION_CODES: Final = {
    *(limit.code for limit in LIMITS),
    *(exhaustion.code for exhaustion in EXHAUSTIONS.values()),
}

_CLASSES: Final = {"subscriber": "subscribers", "chatter": "chatters"}

_IRREGULAR: Final = {
    "foreign": "events without a message of this run",
    "malformed": "beginnings of a message that no whole token follows",
    "altered": "messages that are not as they were sent",
    "misrouted": "messages of channels that their subscriber did not subscribe to",
}

MOST_ERROR_FRAMES_PER_S: Final = 1000
"""Of one worker's connections together."""
_ENDS: Final = ("Disconnected", "Stalled")
"""Errors while receiving that are no frames."""

_DAMAGED: Final = "record_damaged"
_END_TOLERANCE_S: Final = 0.5
"""A run that ended this much before its plan did was not cut short."""


def find_warnings(record: Record, figures: Json) -> list[Json]:
    """Return all warnings about a run: those raised while it ran, then those found now."""
    return [
        *record.run.get("warnings", []),
        *_cut_short(record),
        *_exhaustion(record),
        *_saturation(record, figures),
        *_incomplete(record),
        *_internal_errors(record),
        *_disagreements(record),
        *_clock(record, figures),
        *_user_errors(record),
        *_unsent(record, figures),
        *_unheard(figures),
        *_irregular(record, figures),
        *_unjudged_requests(record, figures),
        *_limited(record),
        *_error_frames(record),
        *_not_routed(record),
    ]


def invalidates(warning: Json) -> bool:
    """Say whether a warning makes the run invalid."""
    return bool(warning.get("invalidates", False))


def why_invalid(summary: Json) -> str:
    """Return the first reason why a run is invalid, or what to do about it; only for such a run."""
    first = next(one for one in summary["warnings"] if invalidates(one))
    if first["code"] == _DAMAGED:
        return f"the record is damaged, {first['observed']}"
    return str(first["hint"])


def saturates(warning: Json) -> bool:
    """Say whether a warning is that the load generator itself did not keep up."""
    return warning["code"] in _SATURATION_CODES


def warning(code: str, observed: Any, limit: Any, hint: str, *, invalid: bool = True) -> Json:
    """Build a warning: what was observed, what it should have been, what to do."""
    found = {"code": code, "observed": observed, "limit": limit, "hint": hint}
    return found | {"invalidates": invalid}


def _saturation(record: Record, figures: Json) -> Iterator[Json]:
    settings = record.workload.get("generator", {})
    for limit in (*LIMITS, *CLOCK_LIMITS):
        observed, highest = observe(figures, limit.metric), settings.get(limit.key)
        if observed is not None and highest is not None and observed > highest:
            yield warning(limit.code, observed, highest, limit.hint)


def _exhaustion(record: Record) -> list[Json]:
    """Warn of what a worker, or its machine, ran out of; one warning for each resource."""
    met = record.errors.groupby("code")["count"].sum()
    return [
        warning(found.code, int(met[code]), 0, f"{found.what}: {found.remedy}")
        for code, found in EXHAUSTIONS.items()
        if code in met
    ]


def _cut_short(record: Record) -> list[Json]:
    status = record.run.get("status")
    if record.is_recovered:
        return []  # What was planned is unknown, of which the damage warns.
    planned_s = max((phase["end_s"] for phase in record.phases), default=0.0)
    whole = record.ended_s >= planned_s - _END_TOLERANCE_S
    if status == "completed" and whole:
        return []
    hints = {
        "running": "the run was killed, or is still going; what it wrote until then is shown",
        "interrupted": "the run was stopped by hand; let it finish to judge it",
        "aborted": "the run gave up early; see its cause",
    }
    hint = hints.get(str(status), "messages still on their way count as lost; let the drain end")
    # A target that rejects every connection, or fails an SLO, ends a run that measured it soundly.
    invalid = not (unreachable(record.run) or stopped_by_slo(record.run))
    needed_s = None if whole else planned_s
    return [warning("run_cut_short", round(record.ended_s, 1), needed_s, hint, invalid=invalid)]


def unreachable(run: Json) -> bool:
    """Say whether the run ended because the target rejected every connection."""
    return (run.get("cause") or {}).get("code") in {"nobody_joined", "target_unreachable"}


def stopped_by_slo(run: Json) -> bool:
    """Say whether an SLO with ``abort`` ended the run."""
    return bool((run.get("cause") or {}).get("code") == SLO_STOP)


def _incomplete(record: Record) -> Iterator[Json]:
    for problem in record.problems:
        yield warning(_DAMAGED, problem, None, "the rest of the record is shown as it is")
    joined = int(record.timeline["joins_succeeded"].sum())
    on_record = int(record.connections["joined"].sum())
    if not record.is_complete and on_record < joined:
        hint = "connections are recorded when they close; what was owed to the others is unknown"
        yield warning("connections_missing", on_record, joined, hint)


def _internal_errors(record: Record) -> Iterator[Json]:
    """Warn of exceptions in our own code: what they kept from being counted is not known."""
    errors = record.errors[record.errors["error_class"] == "InternalError"]
    if len(errors):
        count, first = int(errors["count"].sum()), errors["message"].iloc[0]
        hint = f"{first}; this is a bug of the harness: please report it with locust.log"
        yield warning("internal_error", count, 0, hint)


def _disagreements(record: Record) -> Iterator[Json]:
    """Warn of counts that differ though they must agree, whatever the system did.

    Only in a run that went to its end: one that was cut short has a warning already.
    """
    if record.run.get("status") != "completed":
        return
    yield from _users_missing(record)
    if not record.is_complete or record.lost_workers:
        return  # What a lost worker counted last is not known.
    if record.run.get("users"):  # Earlier versions did not see to it that these agree.
        yield from _joins_disagree(record)
    yield from _ledger_disagrees(record)


def _users_missing(record: Record) -> Iterator[Json]:
    """Compare the users of each class that were planned with those that started."""
    users = record.run.get("users") or {}
    planned, tried = users.get("planned", {}), users.get("tried", {})
    for name, count in planned.items():
        started = tried.get(name, 0)
        if started != count:
            who = _CLASSES.get(name, f"users of class {name}")
            fan_out = name in _CLASSES
            classes = planned.keys() - _CLASSES.keys() if fan_out else {name}
            error = _most_raised(record, classes, but=fan_out)
            found = f"{count - started:,} of {count:,} planned {who} did not start"
            if started > count:
                found = f"{started:,} {who} started and {count:,} were planned"
            found += f"; most often: {error}" if error else ": the load was not as planned"
            yield warning("users_missing", started, count, f"{found}; {_where_logged(record)}")


def _joins_disagree(record: Record) -> Iterator[Json]:
    """Compare the joins of the timeline with one another, and with the connections' rows."""
    sums = record.timeline[["joins_attempted", "joins_succeeded", "joins_failed"]].sum()
    attempted, succeeded, failed = (int(value) for value in sums)
    if attempted != succeeded + failed:
        hint = (
            f"{attempted:,} joins were attempted, {succeeded:,} succeeded and {failed:,} failed, "
            "and none was under way at the end; please report this"
        )
        yield warning("joins_disagree", succeeded + failed, attempted, hint)
    rows = record.connections
    if len(rows) != attempted:
        hint = "each attempt to join has one row in connections.parquet; please report this"
        yield warning("connections_disagree", len(rows), attempted, hint)
    elif rows.duplicated(["user_class", "user", "connection"]).any():
        hint = "two rows of connections.parquet are about one connection; please report this"
        yield warning("connections_disagree", "a connection twice", None, hint)


def _ledger_disagrees(record: Record) -> Iterator[Json]:
    """Compare what messages and connections were owed, got and lost."""
    hint = "messages and connections were counted apart and must agree; please report this"
    for found in contradictions(record.messages, record.connections):
        yield warning("ledger_disagrees", found, None, hint)
    for kind, frame in (("messages", record.messages), ("connections", record.connections)):
        odd = int((frame["delivered"] + frame["lost"] != frame["owed"]).sum())
        if odd:
            hint = f"received and lost must add up to owed for each of the {kind}"
            yield warning("ledger_disagrees", f"{kind} that do not add up: {odd}", None, hint)


def _clock(record: Record, figures: Json) -> Iterator[Json]:
    negative = int(record.timeline["negative_count"].sum())
    too_long = int(record.timeline["out_of_range_count"].sum())
    if negative and clocks_explain_negatives(record):
        hint = "latencies came out below zero, by less than the clocks' error: take them as zero"
        yield warning("clock_negative", negative, None, hint, invalid=False)
    elif negative:
        hint = "messages arrived before they were sent: synchronise the workers' clocks"
        yield warning("clock_unsound", negative, 0, hint)
    if too_long:
        hint = "latencies above one hour are counted here and missing from the percentiles"
        yield warning("latency_out_of_range", too_long, 0, hint)
    if unknown := unmeasured_clocks(record):
        hint = "the offsets of their clocks were never measured: see that they reach the master"
        yield warning("clock_unmeasured", f"workers {unknown}", None, hint)
    unstamped = figures["generator"]["unstamped_receives"]
    joins = figures["joins"]
    nobody_joined = joins["attempted"] and joins["succeeded"] == 0  # No latency was measured.
    if unstamped and not nobody_joined:
        hint = (
            "the kernel gave no time of arrival, so the workers' own clocks were read: the receive "
            "delay is part of the latencies; run on Linux to tell them apart"
        )
        yield warning("kernel_timestamps_missing", unstamped, 0, hint, invalid=False)


def _user_errors(record: Record) -> Iterator[Json]:
    """Warn of exceptions in user code: Locust goes on after them, and only logs them."""
    if count := int(record.errors.loc[record.errors["stage"] == TASK_STAGE, "count"].sum()):
        noun = "exception" if count == 1 else "exceptions"
        observed = f"{count:,} {noun} in user code, most often: {_most_raised(record)}"
        hint = f"the run went on; for the tracebacks {_where_logged(record)}"
        yield warning("user_errors", observed, None, hint, invalid=False)


def _most_raised(record: Record, classes: Collection[str] = (), *, but: bool = False) -> str:
    """Return the exception that user code raised most often, in words; empty where it raised none.

    Of users of ``classes`` alone, or with ``but`` of all others; of all users without classes.
    """
    errors = record.errors[record.errors["stage"] == TASK_STAGE]
    if classes:
        of_them = errors["message"].str.split(": ", n=1).str[0].isin(list(classes))
        errors = errors[of_them != but]
    if errors.empty:
        return ""
    kinds = errors.groupby(["error_class", "message"], as_index=False)["count"].sum()
    error_class, message = kinds.loc[kinds["count"].idxmax(), ["error_class", "message"]]
    user_class, _, said = str(message).partition(": ")
    return ": ".join(part for part in (user_class, str(error_class), said) if part)


def _where_logged(record: Record) -> str:
    """Return where tracebacks and the like are, as the end of a sentence."""
    log = record.folder / LOG_FILE
    return f"see {log}" if log.exists() else "see what Locust printed"


def _unsent(record: Record, figures: Json) -> Iterator[Json]:
    offered, sent = (figures["publishes"][name] for name in ("offered", "sent"))
    if offered != sent:
        hint = (
            "scheduled publishes whose chatter was not connected, or kept silent after it had been "
            "throttled; the load was lighter than planned"
        )
        if reasons := join_failure_causes(record.errors):
            hint = f"{hint}; chatters that cannot join publish nothing: {'; '.join(reasons)}"
        yield warning("publishes_not_sent", sent, offered, hint, invalid=False)


def _unjudged_requests(record: Record, figures: Json) -> Iterator[Json]:
    """Warn of failed requests of ordinary users that no SLO judges."""
    requests = figures["requests"].get(AGGREGATED, {"failures": 0})
    metrics = (str(slo["metric"]) for slo in record.workload.get("slos", []))
    judged = any(one.startswith("requests.") and "failure" in one for one in metrics)
    if requests["failures"] and not judged:
        failed, count = requests["failures"], requests["count"]
        observed = f"{failed:,} of {count:,} ordinary requests failed, and no SLO judges them"
        hint = f'an SLO can: metric = "requests.{AGGREGATED}.failure_ratio"'
        yield warning("requests_failed", observed, None, hint, invalid=False)


def _unheard(figures: Json) -> Iterator[Json]:
    """Warn where publishes were accepted and none arrived: the target file may be wrong."""
    deliveries = figures["deliveries"]
    heard = any(deliveries[kind] for kind in ("received", "late", "unexpected"))
    if deliveries["owed"] and figures["publishes"]["acknowledged"] and not heard:
        hint = (
            "publishes were accepted and no message arrived: publish and stream name different "
            "rooms, the service refuses with status 200 (set reject in [client] of the target), or "
            "it changes the letters and digits of a message"
        )
        yield warning("nothing_heard", 0, deliveries["owed"], hint, invalid=False)


def _irregular(record: Record, figures: Json) -> Iterator[Json]:
    """Warn of what arrived and was no intact delivery, with examples as they arrived."""
    for kind in IRREGULAR_COUNTS:
        if count := figures["deliveries"][kind]:
            of_kind = record.errors[(record.errors["code"] == kind).to_numpy(bool, na_value=False)]
            texts = [f"“{text}”" for text in of_kind["message"].dropna().unique() if text]
            examples = f", for example at {of_kind['stage'].iloc[0]}: " if texts else ""
            hint = f"{_IRREGULAR[kind]}{examples}{', '.join(texts[:EXAMPLES])}"
            yield warning(f"deliveries_{kind}", count, 0, hint, invalid=False)


def _limited(record: Record) -> Iterator[Json]:
    """Warn of what the emulated system dropped at its own limits."""
    if dropped := dropped_at_limits(record):
        each = [f"{cause.replace('_', ' ')} {count:,}" for cause, count in dropped.items()]
        hint = (
            "deliveries that the emulated system itself gave up at a limit it was set, in all "
            "phases: a property of the system, and no fault of the load generator"
        )
        yield warning("system_limit", ", ".join(each), None, hint, invalid=False)


def _error_frames(record: Record) -> Iterator[Json]:
    """Warn where a system sent so many errors that reading them is load of its own."""
    errors = record.errors[record.errors["stage"] == "receive"]
    errors = errors[~errors["error_class"].isin(_ENDS)]
    counts = errors.groupby(["worker", "second"])["count"].sum()
    if (counts > MOST_ERROR_FRAMES_PER_S).any():
        most = int(counts.max())
        hint = (
            "errors that the system sent to a worker's connections in one second: reading them "
            "takes its time, so remove their cause before you use more workers"
        )
        yield warning("error_frames", most, MOST_ERROR_FRAMES_PER_S, hint, invalid=False)


def _not_routed(record: Record) -> Iterator[Json]:
    """Warn of subscribers that were owed messages before measuring began and received none.

    A user that polls may not have polled yet.
    """
    if record.measure_start_s is None:
        return
    start_ns = record.epoch_ns + round(record.measure_start_s * NS_PER_S)
    pushed = ~record.connections["user_class"].isin(record.polling_classes)
    silent = not_routed(
        record.connections[pushed], record.messages, start_ns, owed_own=record.owed_own
    )
    if silent:
        hint = (
            "their subscriptions were confirmed, and yet they heard nothing before measuring "
            "began: a join does not mean routed; what they missed until then is counted apart, "
            "and a longer phases.settle_s or phases.warm_up_s gives the system time"
        )
        yield warning("not_routed", silent, 0, hint, invalid=False)
