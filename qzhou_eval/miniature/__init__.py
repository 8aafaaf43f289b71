"""The packaged demonstration: a generated language, its tasks' data, a tiny trained checkpoint."""
