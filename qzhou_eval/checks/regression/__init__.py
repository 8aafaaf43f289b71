"""Compare a run with a baseline file, as a gate in CI."""
