"""Vectors in the store -> scores and their items."""
