"""A model folder here and the same folder in sentence-transformers, fact by fact and vector by vector."""
