"""A worker of a cluster: holds the model for the whole run; prompts come in, shards go to the store. Imports no ray."""

import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qzhou_eval.encode.readings import Reading, encoders
from qzhou_eval.encode.shard_writer import EncodedStep, EncodeError, write_shards
from qzhou_eval.encode.store import Store
from qzhou_eval.errors import BadInput
from qzhou_eval.system.options import options_called_flags


class CannotLoad(RuntimeError):
    """The model cannot be loaded on this machine; on others it may."""


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
        open_encoder: gives an :class:`~qzhou_eval.model.embedder.Embedder` for the first reading.
        readings: of the run, which says what they are; the files that this machine sees must say the same.
        store_dir: an absolute path, on a folder that all machines share.
    """

    def __init__(self, open_encoder: Callable, readings: Sequence[Reading], store_dir: Path) -> None:
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        self._open_encoder = open_encoder
        self._readings = readings
        self._stores = {reading.fingerprint: Store(store_dir, reading.fingerprint) for reading in readings}

    def open(self) -> WorkerReady:
        """Load the model.

        Raises:
            BadInput: its files are not those that the run started from.
            CannotLoad: no memory, a broken device, or no such folder on this machine.
        """
        host = platform.node()
        try:
            with options_called_flags():
                encoder = self._open_encoder()
                self._encoders = encoders(encoder, self._readings)
            found = encoder.settings.identity(replace(encoder.checkpoint), encoder.profile)  # digests of this machine
        except (BadInput, OSError, RuntimeError) as error:
            raise CannotLoad(f"worker on {host}: cannot load the model ({str(error).splitlines()[0]})") from None
        if differ := [name for name, value in self._readings[0].identity.items() if found[name] != value]:
            raise BadInput(
                f"worker on {host}: {encoder.checkpoint.folder} differs there in {', '.join(differ)}; "
                "give all machines the same files"
            )
        return WorkerReady(host, os.getpid(), encoder.way, encoder.settings.batch_tokens)

    def encode(self, keys: list[bytes], tokenized: list, fingerprint: str, round: int) -> list[EncodedStep]:
        """Encode prompts as one of the readings does and write their shard, in a round of its store; what was done.

        Raises:
            BadInput: this machine does not see the run's store.
            EncodeError: vectors that cannot be used.
        Whatever else goes wrong (a broken device, say) ends this process, so that another takes its place.
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
