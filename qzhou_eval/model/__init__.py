"""A checkpoint and prompts -> vectors. Imports no mteb."""
