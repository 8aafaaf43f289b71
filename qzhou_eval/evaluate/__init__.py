"""Computes scores and items from the vectors in the store."""
