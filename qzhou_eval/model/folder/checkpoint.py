"""Find a checkpoint and describe it: name, revision, width, depth, digest. Loads no weights, needs no torch.

Three layouts from the hub are supported: a sentence-transformers folder (Transformer, Pooling, and any of Dense,
LayerNorm and Normalize), a bare transformers model, and a LoRA adapter in the place of either's transformer.
"""

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.adapter import CONFIG, base_of, is_adapter, tokenizer_of
from qzhou_eval.model.folder.config_file import Architecture, attends_both_ways, read_architecture, refuse_quantised
from qzhou_eval.model.folder.files import check_case, obstacle, present, read_if_there, read_json
from qzhou_eval.model.folder.location import Location, locate
from qzhou_eval.model.folder.modules import DENSE, HeadModule, Modules, read_modules, read_pooling, width_of_vectors
from qzhou_eval.model.folder.remote_code import classes_left_out, decoder_class, how_to_bring
from qzhou_eval.model.folder.weights import is_pickled, stored_shapes, weight_files
from qzhou_eval.model.pooling import LAST, Pooling
from qzhou_eval.system.digests import sha256_of_files, sha256_of_json
from qzhou_eval.system.paths import stays_inside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A model folder on disk.

    Attributes:
        folder: the checkpoint's folder.
        name: ``org/name`` on the hub, ``local/<folder>`` for a folder that is not proven to be from the hub.
        revision: the hub's commit, or ``local-<digest>`` for such a folder.
        body: the folder with the transformer's weights.
        tokenizer: the folder with the tokenizer.
        pooling: how its folder says that hidden states are pooled; for a decoder without a word on it, last token;
            None for an encoder without a word.
        head: the modules after pooling, without normalisation at the end.
        both_ways: whether, by its configuration, a token attends to those after it too.
        architecture: the transformer's sizes.
        width: size of the full vector.
        own_code: the checkpoint's own class for its transformer (``auto_map``), or None.
        left_out: all its own classes that are not run, each with the file that names it.
        adapter: the folder of a LoRA adapter that is merged into the body, or None.
        base: the checkpoint that the adapter belongs to.
    """

    folder: Path
    name: str
    commit: str | None
    body: Path
    tokenizer: Path
    pooling: Pooling | None
    head: tuple[HeadModule, ...]
    both_ways: bool
    architecture: Architecture
    width: int
    own_code: str | None = None
    left_out: tuple[str, ...] = ()
    adapter: Path | None = None
    base: "Checkpoint | None" = None

    @property
    def layers(self) -> int:
        """Number of the transformer's layers."""
        return self.architecture.layers

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of weights, head, pooling, configuration and tokenizer; code has its own digest."""
        kinds = {".safetensors", ".json", ".txt", ".model", ".jinja"}
        ours = {"modules.json", "config_sentence_transformers.json", "generation_config.json"}
        files = [
            path
            for folder in self._folders
            for path in folder.iterdir()
            if path.suffix in kinds and path.name not in ours and path.is_file()
        ]
        of_files = sha256_of_files(sorted({*files, *self._weights}), self.folder)
        chain = [module.kind for module in self.head]
        if self.base is not None:
            return sha256_of_json([of_files, self.pooling and self.pooling.name, chain, self.base.digest])
        if self.pooling in (None, LAST) and chain in ([], [DENSE]):
            return of_files  # as before there were other poolings and heads, so that stored vectors stay valid
        return sha256_of_json([of_files, self.pooling and self.pooling.name, chain])

    @cached_property
    def code_digest(self) -> str:
        """SHA-256 (hex) of the checkpoint's own code; it matters only if that code runs."""
        if self.base is not None:
            return self.base.code_digest
        return sha256_of_files(sorted(self.body.glob("*.py")), self.folder)

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 (hex) of the weight files, including the head's and, with an adapter, its base model's."""
        own = sha256_of_files(self._weights, self.folder)
        return own if self.base is None else sha256_of_json([own, self.base.weights_digest])

    @property
    def weights_bytes(self) -> int:
        """Total size of the weight files, in bytes."""
        own = sum(path.stat().st_size for path in self._weights)
        return own if self.base is None else own + self.base.weights_bytes

    @property
    def _weights(self) -> list[Path]:
        return sorted(path for folder in self._folders for path in weight_files(folder))

    @property
    def _folders(self) -> set[Path]:
        """The folders with weights, without those of an adapter's base model."""
        folders = {self.adapter or self.body, *(module.folder for module in self.head if module.has_weights)}
        return folders if self.base is None else folders - self.base._folders

    @cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 (hex) of the tokenizer's files."""
        if self.base is not None and self.tokenizer == self.base.tokenizer:
            return self.base.tokenizer_digest
        kinds = ("tokenizer*", "vocab*", "merges*", "special_tokens_map.json", "added_tokens.json", "*.model")
        files = {p for kind in kinds for p in self.tokenizer.glob(kind) if p.is_file()}
        return sha256_of_files(sorted(files), self.folder)

    @property
    def pickled(self) -> bool:
        """Whether weights of the body or of the head are a pickle."""
        return any(is_pickled(folder) for folder in self._folders) or (self.base is not None and self.base.pickled)

    @property
    def is_local(self) -> bool:
        """Whether it is not proven to be a model from the hub; it is then named after its folder."""
        return self.commit is None

    @property
    def revision(self) -> str:
        return self.commit or f"local-{self.digest[:12]}"


def find_checkpoint(
    model_name_or_path: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Checkpoint:
    """Find a checkpoint in a folder or on the hub (downloaded once; pickles only if allowed and nothing else is there).

    A folder gets the hub's name and commit if it is byte for byte what ``fetch`` downloaded, or a snapshot in the hub
    client's cache whose files are the cache's own.

    Raises:
        BadInput: nothing found, not a model, a file that is damaged or contradicts another, or a model that this
            harness cannot run.
    """
    allowed = {"trust_remote_code": trust_remote_code, "allow_pickle": allow_pickle}
    place = locate(str(model_name_or_path), revision=revision, **allowed)
    check_case(place.folder)
    modules = read_modules(place.folder)
    if is_adapter(modules.body):
        return _with_adapter(place, modules, allowed)
    path = modules.body / "config.json"
    config = read_json(path, what=f"{place.folder} is not a model folder")
    how = how_to_bring(place.name, place.commit)
    own_code = decoder_class(path, config, trust_remote_code=trust_remote_code, how=how)
    _check_names(modules.body)
    architecture = read_architecture(path, config, stored_shapes(modules.body, allow_pickle=allow_pickle))
    refuse_quantised(path, config)
    both_ways = attends_both_ways(path, config)
    pooling = read_pooling(modules, architecture.hidden)
    return Checkpoint(
        folder=place.folder,
        name=place.name,
        commit=place.commit,
        body=modules.body,
        tokenizer=modules.body,
        pooling=pooling if pooling is not None or both_ways else LAST,
        head=modules.head,
        both_ways=both_ways,
        architecture=architecture,
        width=width_of_vectors(modules, architecture.hidden, allow_pickle=allow_pickle),
        own_code=own_code,
        left_out=classes_left_out(modules, config, own_code, runs=trust_remote_code and own_code is not None),
    )


def _with_adapter(place: Location, modules: Modules, allowed: dict[str, bool]) -> Checkpoint:
    """An adapter on the base model that it names; modules and tokenizer are the adapter's if it has any.

    Raises:
        BadInput: the base model cannot be found, is an adapter itself, or does not fit.
    """
    adapter = modules.body
    name, revision = base_of(adapter)
    try:
        base = find_checkpoint(name, revision=revision, **allowed)
    except BadInput as error:
        raise BadInput(f"{adapter / CONFIG}: its base model, {name}: {error}") from None
    if base.base is not None:
        raise BadInput(f"{adapter / CONFIG}: its base model, {name}, is an adapter too; merge that one first")
    _check_names(adapter)
    found = replace(
        base,
        folder=place.folder,
        name=place.name,
        commit=place.commit,
        tokenizer=tokenizer_of(adapter, base.tokenizer),
        adapter=adapter,
        base=base,
    )
    if not modules.classes:
        return found
    hidden = base.architecture.hidden
    width = width_of_vectors(modules, hidden, allow_pickle=allowed["allow_pickle"])
    return replace(found, pooling=read_pooling(modules, hidden), head=modules.head, width=width)


def state_hidden_size(checkpoint: Checkpoint, dims: tuple[int, ...]) -> None:
    """Log which of several dimensions exceed the decoder's hidden size, the size that vectors are made from."""
    hidden = checkpoint.architecture.hidden
    above = [dim for dim in dims if dim > hidden]
    if above and len(dims) > 1:
        log.info(
            "%s: the decoder's hidden size is %d: dimensions above it (%s) carry no more information",
            *(checkpoint.name, hidden, ", ".join(map(str, above))),
        )


def _check_names(body: Path) -> None:
    """Refuse names that lead a loader out of the folder or to other weights: the digest would not cover those."""
    for file, field in (("tokenizer_config.json", "fast_tokenizer_files"), ("config.json", "transformers_weights")):
        value = read_if_there(body / file).get(field) or []
        for name in value if isinstance(value, list) else [value]:
            if not stays_inside(name) or "/" in name:
                raise BadInput(f"{body / file}: {field}: {name} is not a file of the same folder")
    tokenizer = body / "tokenizer.json"
    if present(tokenizer) and (reason := obstacle(tokenizer)) is not None:
        raise BadInput(f"{tokenizer}: cannot load the tokenizer: the file {reason}")
