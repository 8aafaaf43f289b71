"""How prompts share batches: which ways a decoder allows, how batches are formed, and attention over packed prompts."""
