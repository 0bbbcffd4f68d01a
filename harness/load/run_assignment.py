"""The order that the master gives its workers: what to do, when, and against which address."""

from dataclasses import asdict, dataclass

import orjson

from harness.scenario.plan import Plan


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the system under test answers, with the ports an emulator chose."""

    http: str
    realtime: str
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class RunAssignment:
    """One run as its workers must know it; carries names of secrets, never secrets.

    Attributes:
        run_id: Marks this run's messages.
        epoch_ns: Run clock at second 0 of the timetable.
        plan: The resolved plan.
        endpoints: The addresses to join.
        workers: Locust's client id of each worker, in order of worker number.
    """

    run_id: str
    epoch_ns: int
    plan: Plan
    endpoints: Endpoints
    workers: tuple[str, ...]

    def to_json(self) -> str:
        """Encode for Locust's parsed options, which travel to workers with every spawn."""
        body = {
            "run_id": self.run_id,
            "epoch_ns": self.epoch_ns,
            "plan": self.plan.model_dump(mode="json"),
            "endpoints": asdict(self.endpoints),
            "workers": self.workers,
        }
        return orjson.dumps(body).decode()

    @classmethod
    def from_json(cls, text: str) -> "RunAssignment":
        """Decode what ``to_json`` made."""
        body = orjson.loads(text)
        return cls(
            run_id=body["run_id"],
            epoch_ns=body["epoch_ns"],
            plan=Plan.model_validate_json(orjson.dumps(body["plan"])),
            endpoints=Endpoints(**body["endpoints"]),
            workers=tuple(body["workers"]),
        )
