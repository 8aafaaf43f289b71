"""Encoding by a server: prompts go to an OpenAI-compatible endpoint over HTTP, and vectors come back."""
