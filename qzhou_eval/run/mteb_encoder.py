"""A model for mteb itself, without this project's pipeline: ``mteb.evaluate(MTEBEncoder.from_pretrained(M), tasks)``.

Each text is rendered with the profile's template and the instruction of its task and side; vectors come from the
Embedder or, with a store, from what earlier calls and runs wrote there.
"""

from functools import cached_property
from pathlib import Path

import numpy as np

from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.encode.progress import Progress, shown
from qzhou_eval.encode.stage import InProcess, encode, prepare
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.encode.workload import estimate
from qzhou_eval.evaluate.mteb_adapter.installed import installed_adapter
from qzhou_eval.model.batching.batches import prefetch
from qzhou_eval.model.embedder import Embedder
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.profile_choice import profile_for
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings, find_model, resolve_settings
from qzhou_eval.protocol.instructions import OTHERWISE
from qzhou_eval.protocol.matryoshka import check_dim, cut_and_normalize
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import OtherTask, prompts_of
from qzhou_eval.protocol.texts import batch_texts, check_texts
from qzhou_eval.run.filing import variant_of

PART = 65536  # prompts encoded at once, while the next are tokenised

_SIDES = {"query": "query", "document": "document", "passage": "document"}  # mteb 2.x and 1.x


class MTEBEncoder:
    """One checkpoint at one dimension as an encoder for mteb, 2.x or 1.38.30.

    Attributes:
        mteb_model_meta: mteb's ``ModelMeta``. Every setting that changes a score is in its ``experiment_kwargs``, by
            which mteb's ``ResultCache`` files results; mteb 1.38.30 files by revision only, so there the settings are
            in the revision.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        profile: Profile,
        settings: EncoderSettings,
        *,
        dim: int | None = None,
        normalize: bool = True,
        use_instruction: bool = True,
        store_dir: Path | None = None,
    ) -> None:
        self.dim = checkpoint.width if dim is None else check_dim(dim, checkpoint.width)
        self.profile = profile
        self.normalize = normalize
        self.use_instruction = use_instruction
        variant = variant_of(
            checkpoint, profile, settings, dim=self.dim, normalize=normalize, use_instruction=use_instruction
        )
        self.mteb_model_meta = installed_adapter().model_meta(variant)
        self._checkpoint, self._settings = checkpoint, settings
        self._identity = settings.identity(checkpoint, profile)
        self._store = None if store_dir is None else Store(store_dir, variant.fingerprint)

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str,
        *,
        profile: str | None = None,
        revision: str | None = None,
        dim: int | None = None,
        normalize: bool = True,
        use_instruction: bool = True,
        store_dir: str | Path | None = None,
        **options,
    ) -> "MTEBEncoder":
        """Find a model by folder or hub id; it is loaded at the first text that is not in the store.

        Args:
            profile: a profile's name or YAML file; None is the model's own, or what the checkpoint's files say.
            dim: how many leading components of each vector are kept, then normalised; None for all.
            normalize: whether vectors have L2 norm 1.
            use_instruction: whether the profile's instruction is sent.
            store_dir: a folder of stored vectors, which may be that of ``qzhou-eval run``. Stored prompts are not
                encoded again: a second dimension costs nothing, and a stopped run resumes. None stores nothing.
            options: the keyword arguments of :meth:`~qzhou_eval.model.embedder.Embedder.from_pretrained`.

        Raises:
            BadInput: as for that method, or ``dim`` is not between 1 and the model's width.
            TypeError: an unknown keyword argument.
        """
        asked = EncoderOptions(**options)
        checkpoint = find_model(model_name_or_path, revision=revision, options=asked)
        rules = profile_for(profile, checkpoint)
        return cls(
            checkpoint,
            rules,
            resolve_settings(checkpoint, rules, asked),
            dim=dim,
            normalize=normalize,
            use_instruction=use_instruction,
            store_dir=Path(store_dir).expanduser() if store_dir else None,
        )

    def encode(
        self,
        inputs,
        *,
        task_metadata=None,
        task_name: str | None = None,
        hf_split: str | None = None,
        hf_subset: str | None = None,
        prompt_type=None,
        **kwargs,
    ) -> np.ndarray:
        """Vectors of the texts that mteb sends; mteb's own ``batch_size`` is not used.

        Args:
            inputs: a ``DataLoader`` of batches with a ``text`` (mteb 2.x), or a list of texts (mteb 1.38.30).
            task_metadata: its name selects the instruction; mteb 1.38.30 passes ``task_name`` instead.
            prompt_type: which side the texts are on, None for symmetric tasks.

        Returns:
            float32 array (n, dim).

        Raises:
            BadInput: the profile has no instruction for the task, or a text is not a string.
        """
        name = (task_name or "unnamed") if task_metadata is None else task_metadata.name
        texts = list(inputs if task_metadata is None else batch_texts(inputs))
        side = prompt_type and _SIDES[getattr(prompt_type, "value", prompt_type)]
        where = f"{name}, split {hf_split}" if hf_split else name
        task = task_metadata or packaged_tasks().get(name) or OtherTask(name, OTHERWISE)
        check_texts(texts, f"{where}: text")
        prompts = prompts_of(self.profile, task, side, texts, use_instruction=self.use_instruction)
        return cut_and_normalize(self._full(prompts, where), self.dim, normalize=self.normalize)

    def similarity(self, one, two):
        """Cosine similarity of each of n vectors with each of m: tensor (n, m)."""
        return installed_adapter().cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        """Cosine similarity of n pairs of vectors: tensor (n,)."""
        return installed_adapter().pairwise_cos_sim(one, two)

    @cached_property
    def embedder(self) -> Embedder:
        """The loaded model."""
        return Embedder(self._checkpoint, self.profile, self._settings)

    def _full(self, prompts: list[str], where: str) -> np.ndarray:
        """float32 (n, width): the vectors of rendered prompts; equal prompts are encoded once."""
        keys = [prompt_key(prompt) for prompt in prompts]
        distinct = dict(zip(keys, prompts, strict=True))
        if self._store is None:
            vectors = self.embedder.encode_prompts(list(distinct.values()))
            row = {key: number for number, key in enumerate(distinct)}
            return vectors[[row[key] for key in keys]]
        self._store.refresh()
        texts = list(distinct.values())
        self._fill(self._store, [texts[position] for position in self._store.missing(list(distinct))], where)
        return self._store.get(keys).numpy()

    def _fill(self, store: Store, missing: list[str], where: str) -> None:
        """Encode prompts into ``store``, part by part; each part is stored before the next one begins."""
        if not missing:
            return
        writer = self._writer(store)
        parts = [missing[start : start + PART] for start in range(0, len(missing), PART)]
        named = {f"{where}, part {number}" if len(parts) > 1 else where: part for number, part in enumerate(parts, 1)}
        cost = self.embedder.cost
        progress = Progress(len(parts), cost.effort if cost else sum)
        for name, part in named.items():
            progress.expect(name, *estimate(part, self.embedder.tokenize))
        tokenized = (prepare(part, self.embedder.tokenize) for part in parts)
        with shown(progress):
            for name, ready in zip(named, prefetch(tokenized, count=1), strict=True):
                encode(ready, store, lambda: writer, self._identity, task=name, progress=progress)
                progress.end(name)

    def _writer(self, store: Store) -> InProcess:
        self.embedder.ideal_seconds([])  # measures the ceiling, once, before timing starts
        return InProcess({store.fingerprint: self.embedder})
