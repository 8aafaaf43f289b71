"""Prompts -> vectors in the store. Knows no task and imports no mteb."""
