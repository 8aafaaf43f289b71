"""The interface to mteb: an adapter for each generation, v2 and v1, and the code that both share."""
