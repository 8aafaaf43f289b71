"""A cluster worker: holds the model for the whole run, takes prompts and writes shards to the store. Imports no Ray."""

import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qzhou_eval.encode.readings import Reading, encoders
from qzhou_eval.encode.shard_writer import EncodedStep, EncodeError, write_shards
from qzhou_eval.encode.store import Store
from qzhou_eval.errors import BadInput
from qzhou_eval.model.tokenizer import Tokenized
from qzhou_eval.system.options import options_called_flags

if TYPE_CHECKING:
    from qzhou_eval.model.embedder import Embedder


class CannotLoad(RuntimeError):
    """The model cannot be loaded on this machine; other machines may be able to load it."""


@dataclass(frozen=True)
class WorkerReady:
    """A worker that has loaded the model: where it is, and how its encoder makes batches."""

    host: str
    process: int
    way: str
    batch_tokens: int


class Worker:
    """One process with one model.

    Args:
        open_encoder: loads the model, for the first reading.
        readings: the run's; the files on this machine must match them.
        store_dir: the absolute path of a folder that all machines share.
    """

    def __init__(self, open_encoder: Callable[[], "Embedder"], readings: Sequence[Reading], store_dir: Path) -> None:
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        self._open_encoder = open_encoder
        self._readings = readings
        self._stores = {reading.fingerprint: Store(store_dir, reading.fingerprint) for reading in readings}

    def open(self) -> WorkerReady:
        """Load the model.

        Raises:
            BadInput: its files differ from those that the run started with.
            CannotLoad: no memory, a broken device, or no such folder on this machine.
        """
        host = platform.node()
        try:
            with options_called_flags():
                encoder = self._open_encoder()
                self._encoders = encoders(encoder, self._readings)
            found = encoder.settings.identity(replace(encoder.checkpoint), encoder.profile)  # digests of the files here
        except (BadInput, OSError, RuntimeError) as error:
            raise CannotLoad(f"worker on {host}: cannot load the model ({str(error).splitlines()[0]})") from None
        if differ := [name for name, value in self._readings[0].identity.items() if found[name] != value]:
            raise BadInput(
                f"worker on {host}: {encoder.checkpoint.folder} differs there in {', '.join(differ)}; "
                "give all machines the same files"
            )
        return WorkerReady(host, os.getpid(), encoder.way, encoder.settings.batch_tokens)

    def encode(self, keys: list[bytes], tokenized: list[Tokenized], fingerprint: str, round: int) -> list[EncodedStep]:
        """Encode prompts with one of the readings, write their shard in a round of its store, and return what was done.

        Raises:
            BadInput: this machine does not see the run's store.
            EncodeError: vectors that cannot be used.
        Any other error (for example a broken device) ends this process, so that another one replaces it.
        """
        store = self._stores[fingerprint]
        if not (store.folder / "settings.json").is_file():
            raise BadInput(
                f"worker on {platform.node()}: no store in {store.folder}; give a --store_dir that all machines share"
            )
        store.round = round
        try:
            return list(write_shards(self._encoders[fingerprint], keys, tokenized, store))
        except (BadInput, EncodeError, OSError):
            raise
        except Exception as error:
            print(f"worker on {platform.node()}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
