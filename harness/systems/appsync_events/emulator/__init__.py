"""The emulator of AppSync Events."""
