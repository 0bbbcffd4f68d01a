"""What a load generator can run out of: a machine's limit, never the system's fault."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """One resource that was used up.

    Attributes:
        code: Stable name, for causes and warnings.
        what: Who ran out of what, as the beginning of a sentence.
        remedy: What to do.
    """

    code: str
    what: str
    remedy: str


EXHAUSTIONS: Mapping[str, Exhaustion] = {
    "EMFILE": Exhaustion(
        "out_of_open_files",
        "a worker ran out of open files",
        "use more workers, or raise the hard limit (ulimit -Hn)",
    ),
    "ENFILE": Exhaustion(
        "out_of_open_files",
        "the machine ran out of open files",
        "raise fs.file-max, or spread the load over more machines",
    ),
    "EADDRNOTAVAIL": Exhaustion(
        "out_of_ports",
        "a worker ran out of ports to connect from",
        "use more workers or source addresses, or widen net.ipv4.ip_local_port_range",
    ),
}
"""By the name of the error number that a connect or a publish ends with."""
