"""The polling emulator: its processes, and how to start it.

Run as a module, this is one of its processes; see ``start``.
"""

import asyncio
from functools import partial
from pathlib import Path

from harness.emulation.certificate import server_tls
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.starting import emulator_of
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker
from harness.systems.polling import wire
from harness.systems.polling.emulator.http import HttpConnection, Site
from harness.systems.polling.emulator.service import Service, make_files
from harness.systems.polling.options import Options

HTTP_PATH = wire.PUBLISH_PATH
REALTIME_PATH = wire.POLL_PATH


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""
    return emulator_of(EmulatorProcesses, __name__, options, make_files)


async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = Options.model_validate(worker_context.settings)
    service = Service(options, worker_context)
    site = Site(service)
    tls = server_tls(worker_context.folder / "server.pem") if options.tls else None
    server = await asyncio.get_running_loop().create_server(
        partial(HttpConnection, site), sock=worker_context.listener, ssl=tls, backlog=BACKLOG
    )
    await parent_pipe.serving()
    server.close()
    site.close()
    service.close()


def try_it(http_url: str, _api_key: str, ca_file: Path | None) -> str:
    """Return a shell command that publishes one event to a running emulator."""
    trust = f" --cacert {ca_file}" if ca_file else ""
    address = http_url.replace("{channel}", "default/room-0")
    return f"curl{trust} -d '{{\"hello\":1}}' {address}"


def client_settings(_options: Options, http_url: str) -> dict[str, str]:
    """Return settings for clients other than our own, by their title.

    Args:
        _options: How the emulator is set up.
        http_url: Where it takes publishes.
    """
    address = http_url.replace(wire.PUBLISH_PREFIX, wire.POLL_PREFIX)
    address = address.replace("{channel}", "default/room-0")
    return {"To poll:": f"curl '{address}'  # then '{address}?after=…' with what next says"}


if __name__ == "__main__":
    run_worker(serve)
