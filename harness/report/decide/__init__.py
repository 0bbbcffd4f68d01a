"""Pages of comparisons, sweeps, studies, costs and histories."""
