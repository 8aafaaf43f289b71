"""Prompts -> vectors in the store. Does not depend on tasks and imports no mteb."""
