"""Disturbances that the emulator causes during a run, on commands of the master.

Every disturbance of the plan becomes a row of the record, with its actual start and end. One that
could not be played has no start and makes the run invalid.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent

from harness.core.clock import NS_PER_S
from harness.load.master.emulator_process import EmulatorControls, EmulatorProcess
from harness.load.worker_protocol import Endpoints
from harness.scenario.disturbances import (
    Disturbance,
    KilledProcess,
    Restart,
    SystemFaults,
    lasts_s,
)
from harness.scenario.plan import Plan

Warn = Callable[[dict[str, Any]], None]


class SystemDisturbances:
    """The disturbances of one run, for the master.

    Args:
        epoch_ns: Run clock at second 0.
        emulator: The emulator; None for a real system.

    Attributes:
        rows: One row for each disturbance of the plan, of any kind, in the plan's order.
    """

    def __init__(
        self,
        plan: Plan,
        epoch_ns: int,
        endpoints: Endpoints,
        emulator: EmulatorProcess | None,
        warn: Warn,
    ) -> None:
        self._plan = plan
        self._epoch_ns = epoch_ns
        self._emulator = emulator
        self._warn = warn
        self._controls = EmulatorControls(endpoints)
        self.rows = [self._row(one) for one in plan.workload.disturbances]

    def start(self, spawn: Callable[..., object]) -> None:
        """Start a greenlet for each disturbance, by ``spawn``."""
        for place, one in enumerate(self._plan.workload.disturbances):
            spawn(self._play, one, self.rows[place])

    def _row(self, one: Disturbance) -> dict[str, Any]:
        start_s = self._plan.measure_start_s + one.at_s
        end_s = start_s + lasts_s(one, self._plan.users)
        return {"name": one.title, "kind": one.kind, "start_s": start_s, "end_s": end_s}

    def _play(self, one: Disturbance, row: dict[str, Any]) -> None:
        self._sleep_until(row["start_s"])
        try:
            if isinstance(one, SystemFaults):
                faults = [fault.model_dump(mode="json", exclude_none=True) for fault in one.faults]
                self._controls.set_faults(faults)
                row["start_s"] = self._elapsed_s()
                self._sleep_until(row["end_s"])
                self._controls.set_faults([])
                row["end_s"] = self._elapsed_s()
            elif self._emulator is not None and isinstance(one, KilledProcess):
                self._emulator.send({"kill": one.process, "back_after_s": one.back_after_s})
            elif self._emulator is not None and isinstance(one, Restart):
                self._emulator.send({"restart_after_s": one.back_after_s})
        except OSError as error:
            row["start_s"] = None
            self._warn(
                {
                    "code": "disturbance_not_played",
                    "observed": f"{one.title}: {error}",
                    "limit": "every disturbance must happen",
                    "hint": "the emulator did not play the disturbance; see its log",
                    "invalidates": True,
                }
            )

    def _elapsed_s(self) -> float:
        return (time.time_ns() - self._epoch_ns) / NS_PER_S

    def _sleep_until(self, second: float) -> None:
        gevent.sleep(max(second - self._elapsed_s(), 0.0))
