"""Channel namespace handlers of the emulator, in JavaScript and Python."""
