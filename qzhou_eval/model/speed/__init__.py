"""How much arithmetic prompts are, and how fast a device is: estimates and shares of the ceiling."""
