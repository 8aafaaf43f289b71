"""Two runs, or a run and published scores, side by side."""
