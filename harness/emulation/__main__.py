"""One process of an emulator, as its parent starts it: ``-m harness.emulation MODULE:CLASS``."""

import sys
from pkgutil import resolve_name
from typing import Any

from harness.emulation.emulated_service import EmulatedService
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker


def main(reference: str) -> None:
    """Run one process of the emulator that a reference names."""
    emulator: type[EmulatedService[Any]] = resolve_name(reference)

    async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
        await emulator.of(worker_context).serve(parent_pipe)

    run_worker(serve)


if __name__ == "__main__":
    main(sys.argv[1])
