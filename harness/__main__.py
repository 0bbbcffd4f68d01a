"""Let ``python -m harness`` do what the ``harness`` command does."""

from harness.cli.app import main

if __name__ == "__main__":
    main()
