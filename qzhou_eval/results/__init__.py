"""What a run leaves: variants, the manifest, results read from folders, as a data frame, for a leaderboard."""
