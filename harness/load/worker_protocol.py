"""What master and workers send each other, over Locust's own channel."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from harness.scenario.plan import Plan

FAILED = "harness_failed"
"""Worker to master: the reason why it could not start."""

STOPPED = "harness_stopped"
"""Worker to master: a user class stopped it before the end of the run, and its reason."""

SECOND = "harness_second"
"""Worker to master, once a second: what happened since the last one."""

FINISH = "harness_finish"
"""Master to workers: the run is over; close connections and send the remaining records."""

CONNECTIONS = "harness_connections"
"""Worker to master, after FINISH: rows of the connections table."""

DONE = "harness_done"
"""Worker to master: everything is sent."""

REGISTER = "harness_hello"
"""Worker to master, repeated until it is answered: its ``WorkerInfo``."""

REGISTERED = "harness_welcome"
"""Master to worker: the machine of the run clock, or the reason why the worker is refused."""

CLOCK_REQUEST = "harness_clock_ask"
"""Worker to master: request for the run clock."""

CLOCK_REPLY = "harness_clock_told"
"""Master to worker: the run clock, with the time of the request."""

READY = "harness_ready"
"""Worker to master: it has measured its clock's offset and can begin."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the system under test, with the ports that an emulator chose."""

    http: str
    realtime: str
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class RunAssignment:
    """One run as its workers need to know it; holds names of secrets, never secrets.

    Attributes:
        epoch_ns: Run clock at second 0 of the timetable.
        workers: Locust's client id of each worker, in order of worker number.
    """

    run_id: str
    epoch_ns: int
    plan: Plan
    endpoints: Endpoints
    workers: tuple[str, ...]

    def to_json(self) -> str:
        """Encode for Locust's parsed options, which travel to workers with every spawn."""
        return _ASSIGNMENT.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "RunAssignment":
        """Decode what ``to_json`` made."""
        return _ASSIGNMENT.validate_json(text)


_ASSIGNMENT = TypeAdapter(RunAssignment)
