"""Commands of a master and its workers, and the commands of one run together."""

import sys

from tests.support.runs import (
    EMULATED,
    LOCUSTFILE,
    SHORT,
    SMOKE,
    RunningCommand,
    lenient,
    patient,
    sets,
)


def locustfile_with(launcher, before):
    """Return a copy of the packaged locustfile that does something else before all."""
    file = launcher.new_folder() / LOCUSTFILE.name
    file.write_text(f"{before}\n{LOCUSTFILE.read_text('utf-8')}", "utf-8")
    return file


def master_command(settings, port, *arguments):
    """Return the command of a master of two workers."""
    flags = sets(lenient() | SHORT | patient(settings))
    words = ("run", SMOKE, "--target", EMULATED, "--out", "RECORD", *flags)
    meeting = ("--master", "--expect-workers", 2, "--bind-port", port)
    return (sys.executable, "-m", "harness", *words, *meeting, *arguments)


def worker_command(port, host="127.0.0.1"):
    """Return the command of a worker as a user starts it."""
    command = (sys.executable, "-m", "harness", "worker")
    return (*command, "--master-host", host, "--master-port", port)


def odd_worker_command(port, locustfile):
    """Return the command of a worker of plain Locust, with a locustfile of its own."""
    command = (sys.executable, "-m", "locust", "-f", locustfile, "--worker")
    return (*command, "--master-host", "127.0.0.1", "--master-port", port)


class RunGroup:
    """Acts of one run, all ended when the first of them, the master, has."""

    def __init__(self, launcher):
        self._launcher = launcher
        self.commands = []

    def __enter__(self):
        return self

    def begin(self, command, **variables):
        variables = {"HARNESS_RUN_SECRET": "the-secret-of-a-test"} | variables
        self.commands.append(RunningCommand(self._launcher.new_folder(), *command, **variables))
        return self.commands[-1]

    def outcomes(self):
        return [running.outcome() for running in self.commands]

    def __exit__(self, *_):
        for running in self.commands:
            running.end()
