"""The master's side of a run: workers, the record, the end and the verdict."""
