"""One run record: frames, summary, SLOs, validity and verdict."""
