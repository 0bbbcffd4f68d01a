"""What all emulators share: processes on one port, a bus, counters, certificate, frames."""
