"""How an emulator is started from its options."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness.emulation.certificate import provide_certificate
from harness.emulation.processes import EmulatorProcesses
from harness.scenario.emulator import Emulator

Processes = TypeVar("Processes", bound=EmulatorProcesses)


def emulator_of(
    kind: type[Processes],
    module: str,
    options: Emulator,
    make_files: Callable[[Path, int], None],
) -> Processes:
    """Return an emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder.

    Args:
        kind: What they are.
        module: Run with ``python -m``, for each process.
        options: Of the emulator; each process is told all of them.
        make_files: Called with the processes' common folder and their number before they start.
    """
    processes = options.processes or 1

    def make_folder(folder: Path) -> None:
        make_files(folder, processes)
        if options.tls:
            provide_certificate(folder, options.host, options.certificate_folder)

    return kind(
        module=module,
        settings=options.model_dump(mode="json"),
        processes=processes,
        host=options.host,
        port=options.port,
        prepare=make_folder,
    )
