"""How much arithmetic prompts cost and how fast a device is, for time estimates and shares of the ceiling."""
