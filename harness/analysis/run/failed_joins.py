"""How many joins failed, by cause and by stage."""

from typing import Final

import pandas as pd

from harness.measure.failure_causes import CAUSES, cause_of

_JOIN_ERROR: Final = "JoinError"


def failed_joins(errors: pd.DataFrame) -> pd.DataFrame:
    """Return how many joins failed, a row a cause and a column a stage; only what occurred.

    Args:
        errors: The record's table of errors.
    """
    joins = errors[(errors["error_class"] == _JOIN_ERROR).to_numpy(dtype=bool, na_value=False)]
    joins = joins.fillna({"code": "", "stage": ""})
    causes = [cause_of(*pair) for pair in zip(joins["stage"], joins["code"], strict=True)]
    counts = joins.assign(cause=pd.Categorical(causes, CAUSES)).pivot_table(
        index="cause", columns="stage", values="count", aggfunc="sum", fill_value=0, observed=True
    )
    return counts.astype("int64")


def failed_by_cause(errors: pd.DataFrame) -> dict[str, int]:
    """Return how many joins failed for each of ``CAUSES``."""
    totals = failed_joins(errors).sum(axis=1)
    return {cause: int(totals.get(cause, 0)) for cause in CAUSES}
