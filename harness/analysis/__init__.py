"""From a run record to frames, a summary and a verdict, with pandas and never during a run."""
