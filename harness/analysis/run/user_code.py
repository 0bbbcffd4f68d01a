"""Exceptions that the user code of a run raised, and where to read more about them."""

from collections.abc import Collection

from harness.analysis.run.record import Record
from harness.measure.record import LOG_FILE, TASK_STAGE


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
