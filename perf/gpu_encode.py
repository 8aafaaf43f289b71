"""Encoding speed on a GPU, step by step: a decoder of Qwen3-8B's shape, random weights, lengths like CMTEB's.

Needs only torch, transformers and sentence-transformers; no weights, no data, no hub. One command, under eight minutes
on one H100, one table: the rate of a large matrix product; sentence-transformers' ``encode`` (bfloat16, SDPA) with its
default batch size and its best; then this project's steps, each on top of those before. Tokens per second count real
tokens; the share is the model's arithmetic per second over the rate of the matrix product. Without a GPU, a small shape
runs on the CPU to show that the script works, and the GPU's columns say "not measured".

    python perf/gpu_encode.py [--check]
"""

import argparse
import random
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path

import torch
import transformers
from random_models import QWEN3_8B, SMALL, VOCABULARY, Shape, lengths, random_decoder
from torch.nn.functional import cosine_similarity

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qzhou_eval.model.forward import Forward
from qzhou_eval.model.fp8 import use_fp8
from qzhou_eval.model.speed.cost import cost_of
from qzhou_eval.model.speed.matmul_rate import matmul_rate
from qzhou_eval.model.streams import current, finish
from qzhou_eval.model.token_prepending import PrependedLayers

PREPENDED = PrependedLayers(1, 7, placeholder=4)
NOT_MEASURED = "not measured"
GOALS = {  # by workload: share of the matrix product, and times sentence-transformers
    "short": (0.65, 1.6),
    "passages": (0.75, 1.3),
}
SAME_COSINE = 0.99  # bfloat16 through 36 random layers, with different batches
FP8_TIMES, FP8_COSINE = 1.35, 0.999


def word_tokenizer(padding_side: str) -> "transformers.PreTrainedTokenizerFast":
    """A tokenizer of one word per token: the numbers below the size of the vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"pad": 0} | {str(n): n for n in range(1, VOCABULARY)}, unk_token="pad"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="pad", padding_side=padding_side)


def sentence_transformer(model: torch.nn.Module, projection: torch.nn.Linear, device: str, folder: Path):
    """The same decoder and projection under sentence-transformers, with a tokenizer of one word per token."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import Qwen3Config, Qwen3Model

    word_tokenizer("left").save_pretrained(folder)
    tiny = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1)
    Qwen3Model(Qwen3Config(vocab_size=VOCABULARY, head_dim=16, **tiny)).save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=1024)
    slot = next(name for name, child in transformer.named_children() if isinstance(child, Qwen3Model))
    setattr(transformer, slot, model)
    size = model.config.hidden_size
    dense = Dense(size, projection.out_features, activation_function=torch.nn.Identity())
    dense.linear = projection
    return SentenceTransformer(modules=[transformer, Pooling(size, pooling_mode="lasttoken"), dense], device=device)


def encode(forward: Forward, sequences: list[array], budget: int, *, prepend: bool) -> torch.Tensor:
    """Vectors (n, width) of all sequences, on CPU, from the project's own stream."""
    result = None
    for done in forward.stream(sequences, budget, prepended=PREPENDED if prepend else None):
        if result is None:
            result = torch.empty(len(sequences), done.vectors.shape[1], dtype=done.vectors.dtype)
        result[done.rows] = done.vectors
    return result


def timed(work: Callable[[list], object], items: list, device: str) -> float:
    """Seconds that the work takes on all items, after a warm-up of kernels and compilers with an eighth of them."""
    work(items[: len(items) // 8])
    finish(device)
    start = time.perf_counter()
    work(items)
    finish(device)
    return time.perf_counter() - start


class Bench:
    """One decoder on one device, all workloads; :meth:`steps` yields a name and seconds by workload."""

    def __init__(self, shape: Shape, device: str) -> None:
        self.shape, self.device = shape, device
        self.model, self.projection = random_decoder(shape, device, torch.bfloat16)
        self.lengths = {"short": lengths(31, shape.tokens, 1), "passages": lengths(390, shape.tokens, 2)}
        draw = random.Random(5)
        self.sequences = {
            name: [array("I", draw.choices(range(1, VOCABULARY), k=n)) for n in many]
            for name, many in self.lengths.items()
        }
        self.ceiling = matmul_rate(device, torch.bfloat16)
        self.notes: list[str] = []
        self.fp8_cosine = float("nan")

    def steps(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each step's name and its seconds by workload, in order."""
        yield from self._sentence_transformers()
        padded = Forward(self.model, self.projection, device=self.device, max_length=1024, attention="padded")
        ours = encode(padded, self.sequences["passages"][:64], self.shape.budget, prepend=False)
        lowest = float(cosine_similarity(ours.float(), self._theirs.float()).min())
        if lowest < SAME_COSINE:
            raise SystemExit(f"error: sentence-transformers and our code give different vectors: cosine {lowest:.3f}")
        self.notes.append(f"sentence-transformers' vectors and ours, TP off: lowest cosine {lowest:.5f}")
        yield "token budget, sorted by tokens, padded", self._ours(padded)
        packed = Forward(self.model, self.projection, device=self.device, max_length=1024, attention="packed")
        yield f"+ {packed.attention}", self._ours(packed)
        yield "+ token prepending on layers 1-7", self._ours(packed, prepend=True)
        self._exactness(packed)
        self._waits(packed)
        self._full_device(packed)
        self._last_gpu(packed)
        packed.body.compile()
        yield "+ compiled layers", self._ours(packed, prepend=True)
        probe = self.sequences["passages"][:64]
        exact = encode(packed, probe, self.shape.budget, prepend=True).float()
        try:
            use_fp8(self.model.layers)
        except ValueError as error:
            self.notes.append(f"FP8: {error}")
            return
        yield "+ FP8", self._ours(packed, prepend=True)
        cosines = cosine_similarity(encode(packed, probe, self.shape.budget, prepend=True).float(), exact)
        self.fp8_cosine = float(cosines.mean())
        self.notes.append(f"FP8 compared with bfloat16: mean cosine {self.fp8_cosine:.5f}, lowest {cosines.min():.5f}")

    def _ours(self, forward: Forward, *, prepend: bool = False) -> dict[str, float]:
        return {
            name: timed(lambda s: encode(forward, s, self.shape.budget, prepend=prepend), sequences, self.device)
            for name, sequences in self.sequences.items()
        }

    def _sentence_transformers(self) -> Iterator[tuple[str, dict[str, float]]]:
        found: dict[int, dict[str, float]] = {}
        texts = {name: [" ".join(map(str, ids)) for ids in many] for name, many in self.sequences.items()}
        with tempfile.TemporaryDirectory() as folder:
            theirs = sentence_transformer(self.model, self.projection, self.device, Path(folder))
            for batch in self.shape.batches:
                found[batch] = {
                    name: timed(lambda t, b=batch: theirs.encode(t, batch_size=b), some, self.device)
                    for name, some in texts.items()
                }
            self._theirs = torch.from_numpy(theirs.encode(texts["passages"][:64]))
        yield f"sentence-transformers, batches of {self.shape.batches[0]}", found[self.shape.batches[0]]
        best = {name: min(found, key=lambda b, n=name: found[b][n]) for name in texts}
        sizes = " and ".join(str(best[name]) for name in texts)
        yield f"sentence-transformers, its best: {sizes}", {name: found[best[name]][name] for name in texts}

    def _exactness(self, packed: Forward) -> None:
        """Compare the vectors of one text placed first, in the middle and last in a pack."""
        *others, mine = self.sequences["short"][:201]
        found = []
        for place in (0, len(others) // 2, len(others)):
            pack = [*others[:place], mine, *others[place:]]
            vectors = packed(packed.batch(list(range(len(pack))), pack), PREPENDED)
            found.append(vectors[place].float())
        apart = max(float((one - found[0]).abs().max()) for one in found)
        equal = "bitwise equal" if apart == 0 else f"largest difference {apart:.1e}"
        self.notes.append(f"one text first, in the middle and last of a pack of {len(others) + 1}: {equal}")

    def _waits(self, packed: Forward) -> None:
        """Check whether the host waits for the GPU inside a pack; torch itself detects it."""
        if self.device != "cuda":
            return
        batch = packed.batch(list(range(100)), self.sequences["short"])
        torch.cuda.set_sync_debug_mode("error")
        try:
            packed(batch, PREPENDED)
            self.notes.append("the host does not wait for the GPU inside a pack")
        except RuntimeError as error:
            self.notes.append(f"the host waits for the GPU inside a pack: {str(error).splitlines()[0]}")
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def _full_device(self, packed: Forward) -> None:
        """Encode with too little GPU memory: after torch's own error, smaller batches must give the same vectors."""
        if self.device != "cuda":
            return
        forward = copy(packed)  # this one learns the limit, which the measured one must not
        sequences = self.sequences["short"]
        expected = encode(forward, sequences, self.shape.budget, prepend=True).float()
        torch.cuda.empty_cache()
        room = torch.cuda.memory_allocated() + 2**30
        torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
        try:
            found = encode(forward, sequences, self.shape.tokens, prepend=True).float()
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        lowest = float(cosine_similarity(found, expected).min())
        fits = forward.limit(self.shape.tokens)
        self.notes.append(f"1 GiB on top of the weights: batches shrank to {fits} tokens; lowest cosine {lowest:.5f}")

    def _last_gpu(self, packed: Forward) -> None:
        """Compare the last GPU's vectors with the first's while the first is the current one, if there are two."""
        last = torch.cuda.device_count() - 1
        if self.device != "cuda" or last < 1:
            self.notes.append("vectors on another GPU than the first: not checked, there is no other")
            return
        there = f"cuda:{last}"
        with current(there):  # a decoder of its own: the first GPU's stays where it is
            model, projection = random_decoder(self.shape, there, torch.bfloat16)
        model.load_state_dict(self.model.state_dict())
        projection.load_state_dict(self.projection.state_dict())
        forward = Forward(model, projection, device=there, max_length=1024, attention="packed")
        sequences = self.sequences["passages"][:256]
        found, expected = (encode(one, sequences, self.shape.budget, prepend=True).float() for one in (forward, packed))
        lowest = float(cosine_similarity(found, expected).min())
        self.notes.append(f"{there} compared with cuda:0: lowest cosine {lowest:.5f}")
        if not lowest > SAME_COSINE:
            raise SystemExit(f"error: {there} gives different vectors than cuda:0: cosine {lowest:.3f}")

    def speed(self, name: str, seconds: float) -> tuple[float, float]:
        """Real tokens per second, and the share of the matrix product's rate."""
        many = self.lengths[name]
        done = cost_of(self.model.layers, self.model.config, None)(many)
        return sum(many) / seconds, done / seconds / self.ceiling


def missed(found: dict[str, dict[str, tuple[float, float]]], fp8_cosine: float) -> list[str]:
    """The goals that the GPU misses; ``found`` is tokens per second and share, by step and workload."""
    steps = list(found)
    default, ours = found[steps[0]], found["+ compiled layers"]
    faults = []
    for name, (share, times) in GOALS.items():
        if ours[name][1] < share:
            faults.append(f"{name}: {ours[name][1]:.0%} of the matrix product, the goal is {share:.0%}")
        if ours[name][0] < times * default[name][0]:
            ratio = ours[name][0] / default[name][0]
            faults.append(f"{name}: {ratio:.2f} times sentence-transformers, the goal is {times}")
    if "+ FP8" not in found:
        return [*faults, "FP8: not on this device"]
    faults += [
        f"{name}: FP8 {found['+ FP8'][name][0] / ours[name][0]:.2f} times bfloat16, the goal is {FP8_TIMES}"
        for name in GOALS
        if found["+ FP8"][name][0] < FP8_TIMES * ours[name][0]
    ]
    return faults + ([f"FP8: mean cosine {fp8_cosine:.5f}"] if fp8_cosine < FP8_COSINE else [])


def table(found: dict[str, dict[str, tuple[float, float]]], *, on_gpu: bool) -> str:
    """A Markdown table of tokens per second, share and ratio to the first row, by workload, for CPU and GPU."""
    titles = [f"{place} {name}" for place in ("CPU", "GPU") for name in GOALS]
    lines = ["| step | " + " | ".join(titles) + " |", "| --- " * (len(titles) + 1) + "|"]
    first = next(iter(found.values()))
    for step, by_workload in found.items():
        cells = []
        for name in GOALS:
            tokens, share = by_workload[name]
            cells.append(f"{tokens:,.0f} tokens/s, {share:.0%}, x {tokens / first[name][0]:.2f}")
        other = [NOT_MEASURED] * len(GOALS)
        lines.append("| " + " | ".join([step, *(other + cells if on_gpu else cells + other)]) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; with ``--check``, 1 if a goal is missed or there is no GPU to meet it on."""
    parser = argparse.ArgumentParser(description="Encoding speed on a GPU, step by step.")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed or nothing was measured")
    args = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    on_gpu = torch.cuda.is_available()
    shape, device = (QWEN3_8B, "cuda") if on_gpu else (SMALL, "cpu")
    bench = Bench(shape, device)
    place = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"{place}, torch {torch.__version__}: a decoder of {shape.title} shape, bfloat16")
    print(f"matrix product: {bench.ceiling / 1e12:.2f} TFLOP/s; {shape.tokens:,} tokens of each workload", flush=True)
    found = {}
    for step, seconds in bench.steps():
        found[step] = {name: bench.speed(name, some) for name, some in seconds.items()}
        print(
            f"  {step}: " + ", ".join(f"{name} {s:.2f} s" for name, s in seconds.items()), file=sys.stderr, flush=True
        )
    print("\n" + table(found, on_gpu=on_gpu) + "\n")
    print("\n".join(bench.notes))
    faults = missed(found, bench.fp8_cosine) if on_gpu else ["no GPU: the goals were not measured"]
    for fault in faults:
        print(f"missed: {fault}", file=sys.stderr)
    return int(args.check and bool(faults))


if __name__ == "__main__":
    sys.exit(main())
