"""Machines for tests that must not depend on the one they run on."""

from harness.measure.machine import Machine

TWO_CORES = Machine(
    open_files=20_000,
    ephemeral_ports=28_232,
    somaxconn=4096,
    memory_bytes=24_000_000_000,
    cores=2.0,
    clock_resolution_ns=1,
)
"""What the reference load is meant for."""
