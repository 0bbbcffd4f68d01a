"""Decisions from several runs or from price lists: compare, sweep, study, cost and fleet size."""
