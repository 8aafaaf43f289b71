"""Between us and mteb: an adapter for each generation, v2 and v1, and what both share."""
