"""The ``harness`` command: one verb a module. May import everything, heavy things lazily."""
