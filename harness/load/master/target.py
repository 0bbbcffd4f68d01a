"""The system under test as the master sees it: a reachable target, or an emulator to start."""

import contextlib
import json
import time
from pathlib import Path

from harness.core.errors import TargetUnreachableError
from harness.core.exit_codes import ExitCode
from harness.core.hosts import authority
from harness.core.outside_text import outside_text
from harness.load.master.abort_reason import AbortReason
from harness.load.master.emulator_process import EmulatorControls, EmulatorProcess
from harness.load.worker_protocol import Endpoints
from harness.net.client import Access
from harness.net.joining import error_text
from harness.net.route import Route
from harness.scenario.plan import Plan

ANSWER_WITHIN_S = 5.0


class TargetSystem:
    """The target of one run.

    Attributes:
        endpoints: Where the target answers; of an emulated one, only after ``start``.
        emulator: The running emulator; None for a real system.

    Raises:
        TargetUnreachableError: If a real system accepts no connection.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._log_file = folder / "emulator.log"
        self.endpoints: Endpoints
        self.emulator: EmulatorProcess | None = None
        if (addresses := plan.target.endpoints) is not None:
            ca_file = plan.target.tls.ca_file
            self.endpoints = Endpoints(addresses.http, addresses.realtime, ca_file)
            check_reachable(self.endpoints.realtime)

    def start(self) -> None:
        """Start the emulator of an emulated target; do nothing for a real system.

        Raises:
            EmulatorNotStartedError: If it does not accept connections in time.
            ScenarioError: If it cannot load what the target names.
        """
        if self._plan.target.emulator is not None:
            self.emulator = EmulatorProcess(
                self._plan.target_file, self._plan.target, self._log_file
            )
            self.endpoints = self.emulator.endpoints

    def failure(self) -> AbortReason | None:
        """Return why the run must end if the emulator has died, None otherwise."""
        if self.emulator is None or self.emulator.alive:
            return None
        message = f"the emulator died during the run: {self.emulator.end_reason()}"
        hint = f"its log is {self._log_file}"
        return AbortReason("emulator_died", ExitCode.RUN_INVALID, message, hint)

    def save_ground_truth(self) -> None:
        """Write the emulator's own counts into the record, if it still answers."""
        if self.emulator is not None:
            with contextlib.suppress(OSError):
                truth = json.dumps(EmulatorControls(self.endpoints).ground_truth(), indent=1)
                (self._folder / "emulator.json").write_text(truth, encoding="utf-8")

    def stop(self) -> None:
        """Stop the emulator, if there is one."""
        if self.emulator is not None:
            self.emulator.stop()


def check_reachable(address: str) -> None:
    """Open one TCP connection to the host of a URL, as workers do, and close it again.

    Raises:
        TargetUnreachableError: If the name does not resolve, or no connection is accepted in 5 s.
    """
    route = Route(Access(address, address, api_key=""), address)
    try:
        route.connect(time.monotonic() + ANSWER_WITHIN_S).close()
    except TimeoutError:
        found = f"no answer within {ANSWER_WITHIN_S:.0f} s"
    except OSError as error:
        found = outside_text(error_text(error))
    else:
        return
    raise TargetUnreachableError(
        authority(route.host, route.port),
        f"{found} (tried one TCP connection)",
        "a target must accept connections",
        "start the system, or check the endpoints in the target file",
    )
