"""Results of runs: variants, the manifest, and reading results from folders, as a data frame or for export."""
