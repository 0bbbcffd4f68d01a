"""Load-testing and capacity harness for live fan-out systems."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fanout-harness")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
