"""The files of the project that ``harness init`` writes."""
