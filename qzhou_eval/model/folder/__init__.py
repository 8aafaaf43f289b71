"""A model's folder: where it is, which files it has, what they say. Loads no weights and needs no torch."""
