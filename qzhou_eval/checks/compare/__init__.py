"""Compare two runs, or a run and published scores."""
