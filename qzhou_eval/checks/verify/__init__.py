"""Compare a model folder here with the same folder in sentence-transformers: facts, then vectors."""
