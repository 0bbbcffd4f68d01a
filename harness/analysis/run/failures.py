"""The commonest reasons why joins and publishes failed, with the service's own code and text."""

from typing import Final

import pandas as pd

_MOST: Final = 2
_NO_ATTEMPTS: Final = {"NotConnected", "BackedOff"}
"""Error classes of publishes that were never sent."""


def failure_causes(errors: pd.DataFrame) -> list[str]:
    """Return the two commonest causes of failed joins, then of failed publishes.

    Such as "49 joins failed: 409 text/plain “this token already has a stream”". Over the whole
    run, retries included. Errors that differ only in their text, which may contain a request id,
    are counted together.
    """
    return [*join_failure_causes(errors), *_causes("publish", "publishes", _publishes(errors))]


def join_failure_causes(errors: pd.DataFrame) -> list[str]:
    """Return those of ``failure_causes`` that are about joins."""
    joins = errors[(errors["error_class"] == "JoinError").to_numpy(bool, na_value=False)]
    return _causes("join", "joins", joins)


def _publishes(errors: pd.DataFrame) -> pd.DataFrame:
    return errors[
        (errors["stage"] == "publish").to_numpy(bool, na_value=False)
        & ~errors["error_class"].isin(_NO_ATTEMPTS)
    ]


def _causes(one: str, several: str, errors: pd.DataFrame) -> list[str]:
    if errors.empty:
        return []
    texts = errors[["code", "message"]].fillna("")
    named = [_named(code, text) for code, text in zip(texts["code"], texts["message"], strict=True)]
    rows = errors[["count"]].assign(
        code=[code for code, _ in named], text=[text for _, text in named]
    )
    kinds = rows.groupby(["code", "text"], as_index=False)["count"].sum()
    counts = kinds.groupby("code")["count"].sum().sort_values(ascending=False, kind="stable")
    found = []
    for code, count in counts.head(_MOST).items():
        of_code = kinds[kinds["code"] == code]
        text = of_code.loc[of_code["count"].idxmax(), "text"]
        example = "for example " * (len(of_code) > 1) + f"“{text}”" if text else ""
        reason = " ".join(part for part in (str(code), example) if part) or "no reason was given"
        found.append(f"{count:,} {one if count == 1 else several} failed: {reason}")
    return found


def _named(code: str, message: str) -> tuple[str, str]:
    """Return the service's code and text; an HTTP status may stand before the text of an answer."""
    if not code.startswith("http_error"):
        return code, message
    status, _, text = message.partition(": ")
    return status, text
