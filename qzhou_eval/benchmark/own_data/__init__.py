"""A user's own benchmark: its definition in YAML, and its rows in plain files. Does not import mteb."""
