"""One folder a system under test: wire format, load client, emulator, economics."""
