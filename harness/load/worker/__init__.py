"""A worker's side of a run: its users, its share of the schedule, its reports."""
