"""Have reports of slow tests draw their charts without writing SVG and PNG: most of the work.

Python imports this at the start of each process that has this folder in PYTHONPATH. The runs of
``make test`` write all of it.
"""

import sys

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><g id="axes"/></svg>'

if "report" in sys.orig_argv:
    from harness.report import canvas

    setattr(canvas, "to_svg", lambda _figure, _name: SVG)  # noqa: B010 - mypy: functions stay.
    setattr(canvas, "to_png", lambda *_texts: b"\x89PNG")  # noqa: B010 - As above.
