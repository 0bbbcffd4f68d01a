"""Histograms, delivery ledger, generator health and the run record. Imports core only."""
