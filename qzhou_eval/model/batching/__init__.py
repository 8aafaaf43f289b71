"""How prompts share batches: what a decoder allows, and the ways in which they go through it."""
