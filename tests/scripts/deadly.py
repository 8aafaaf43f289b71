"""An encoder that ends its process at a prompt with a certain token; importable by the workers of a cluster."""

import os


class Deadly:
    """A real Embedder, but for that."""

    def __init__(self, open_encoder, token: int) -> None:
        self._embedder = open_encoder()
        self._token = token

    def __getattr__(self, name):
        return getattr(self._embedder, name)

    def stream(self, tokenized):
        if any(self._token in prompt.ids for prompt in tokenized):
            os._exit(1)
        yield from self._embedder.stream(tokenized)
