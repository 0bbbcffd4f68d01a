"""Counts that must agree in every run, and the exceptions in user code that may explain them."""

from collections.abc import Collection, Iterator

from harness.analysis.run.ledger import contradictions
from harness.analysis.run.record import Record
from harness.measure.record import LOG_FILE, TASK_STAGE

_CLASSES = {"subscriber": "subscribers", "chatter": "chatters"}


def broken_invariants(record: Record) -> Iterator[tuple[str, int | str, int | None, str]]:
    """Yield code, count observed, count required and hint of each invariant that does not hold.

    Only of a completed run: a run that was cut short has a warning of its own.
    """
    if record.run.get("status") != "completed":
        return
    yield from _users(record)
    if not record.is_complete or record.lost_workers:
        return  # What a lost worker counted last is not known.
    if record.run.get("users"):  # Earlier versions did not see to it that these agree.
        yield from _joins(record)
    yield from _ledger(record)


def _users(record: Record) -> Iterator[tuple[str, int | str, int | None, str]]:
    """Compare the users of each class that were planned with those that started."""
    users = record.run.get("users") or {}
    planned, tried = users.get("planned", {}), users.get("tried", {})
    for name, count in planned.items():
        started = tried.get(name, 0)
        if started != count:
            who = _CLASSES.get(name, f"users of class {name}")
            fan_out = name in _CLASSES
            classes = planned.keys() - _CLASSES.keys() if fan_out else {name}
            error = most_raised(record, classes, but=fan_out)
            told = f"{count - started:,} of {count:,} planned {who} did not start"
            if started > count:
                told = f"{started:,} {who} started and {count:,} were planned"
            often = f"; most often: {error}" if error else ": the load was not the planned one"
            yield "users_missing", started, count, f"{told}{often}; {where_logged(record)}"


def _joins(record: Record) -> Iterator[tuple[str, int | str, int | None, str]]:
    """Compare the joins of the timeline with one another, and with the connections' rows."""
    sums = record.timeline[["joins_attempted", "joins_succeeded", "joins_failed"]].sum()
    attempted, succeeded, failed = (int(value) for value in sums)
    if attempted != succeeded + failed:
        hint = (
            f"{attempted:,} joins were attempted, {succeeded:,} succeeded and {failed:,} failed, "
            "and none was under way at the end; please report this"
        )
        yield "joins_disagree", succeeded + failed, attempted, hint
    rows = record.connections
    if len(rows) != attempted:
        hint = "each attempt to join has one row in connections.parquet; please report this"
        yield "connections_disagree", len(rows), attempted, hint
    elif rows.duplicated(["user_class", "user", "connection"]).any():
        hint = "two rows of connections.parquet are about one connection; please report this"
        yield "connections_disagree", "a connection twice", None, hint


def _ledger(record: Record) -> Iterator[tuple[str, int | str, int | None, str]]:
    """Compare what messages and connections were owed, got and lost."""
    hint = "messages and connections were counted apart and must agree; please report this"
    for found in contradictions(record.messages, record.connections):
        yield "ledger_disagrees", found, None, hint
    for kind, frame in (("messages", record.messages), ("connections", record.connections)):
        odd = int((frame["delivered"] + frame["lost"] != frame["owed"]).sum())
        if odd:
            hint = f"received and lost must add up to owed for each of the {kind}"
            yield "ledger_disagrees", f"{kind} that do not add up: {odd}", None, hint


def raised(record: Record) -> int:
    """Return how many exceptions user code raised."""
    return int(record.errors.loc[record.errors["stage"] == TASK_STAGE, "count"].sum())


def most_raised(record: Record, classes: Collection[str] = (), *, but: bool = False) -> str:
    """Return the exception that user code raised most often, in words; empty where it raised none.

    Args:
        record: The run.
        classes: Of users of these classes alone; of all where there are none.
        but: Of users of all classes but these.
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


def where_logged(record: Record) -> str:
    """Return where tracebacks and the like are, as the end of a sentence."""
    log = record.folder / LOG_FILE
    return f"see {log}" if log.exists() else "see what Locust printed"
