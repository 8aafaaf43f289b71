"""A model's folder: where it lies, which files it has, what they say. Loads no weights and needs no torch."""
