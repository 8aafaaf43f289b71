"""Bidirectional attention on a GPU: packed compared with padded, and with sentence-transformers at its best batch.

Random weights in the shapes of bge-large-zh (BERT) and gte-Qwen2-1.5B (a decoder made bidirectional), mean pooling,
bfloat16, lengths like CMTEB's. Needs only torch, transformers and sentence-transformers; no weights, no data, no hub.
Tokens per second count real tokens. Without a GPU, small shapes run on the CPU to show that the script works.

    python perf/gpu_encoders.py [--check]
"""

import argparse
import sys
import tempfile
from array import array
from pathlib import Path

import torch
import transformers
from gpu_encode import encode, timed, word_tokenizer
from random_models import VOCABULARY, lengths
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tabulate import tabulate
from torch.nn.functional import cosine_similarity

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qzhou_eval.model.forward import Forward
from qzhou_eval.model.pooling import MEAN
from qzhou_eval.model.pooling import Pooling as Kind

SHAPES = {
    "Bert": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
    "Qwen2": {
        **{"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12},
        "num_key_value_heads": 2,
    },
}
SMALL = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 4}
MEAN_TOKENS, MAX_LENGTH, BUDGET = 90, 512, 16384
BATCHES = (32, 128, 512)
SAME_COSINE = 0.99  # bfloat16 through many random layers, with different kernels


def body(family: str, sizes: dict, device: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(vocab_size=VOCABULARY, **sizes)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    return getattr(transformers, f"{family}Model")(config).to(device, dtype).eval()


def theirs(model: torch.nn.Module, folder: Path, device: str) -> SentenceTransformer:
    """The same encoder under sentence-transformers, with a tokenizer of one word per token."""
    word_tokenizer("right").save_pretrained(folder)
    model.save_pretrained(folder)
    chain = [Transformer(str(folder), max_seq_length=MAX_LENGTH), Pooling(model.config.hidden_size, "mean")]
    return SentenceTransformer(modules=chain, device=device).to(next(model.parameters()).dtype)


def measure(family: str, device: str, tokens: int) -> tuple[list[list[object]], float]:
    """Rows of one shape, and the lowest cosine of packed and padded vectors."""
    model = body(family, SHAPES[family] if device == "cuda" else SMALL, device)
    draw = torch.Generator().manual_seed(1)
    counts = [min(n, MAX_LENGTH) for n in lengths(MEAN_TOKENS, tokens, 1)]
    sequences = [array("I", torch.randint(1, VOCABULARY, (n,), generator=draw).tolist()) for n in counts]
    rows, vectors = [], []
    for way in ("padded", "packed"):
        how = {"max_length": MAX_LENGTH, "pooling": Kind(MEAN), "both_ways": True}
        forward = Forward(model, None, device=device, attention=way, **how)
        seconds = timed(lambda some, f=forward: encode(f, some, BUDGET, prepend=False), sequences, device)
        rows.append([family, forward.attention, f"{sum(counts) / seconds:,.0f}"])
        vectors.append(encode(forward, sequences[:200], BUDGET, prepend=False).float())
    if family == "Bert":
        texts = [" ".join(map(str, ids)) for ids in sequences]
        with tempfile.TemporaryDirectory() as folder:
            other = theirs(model, Path(folder), device)
            found = {b: timed(lambda t, b=b: other.encode(t, batch_size=b), texts, device) for b in BATCHES}
        best = min(found, key=found.__getitem__)
        rows.append([family, f"sentence-transformers, batch {best}", f"{sum(counts) / found[best]:,.0f}"])
    return rows, float(cosine_similarity(*vectors).min())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit with 1 without a GPU, or if vectors differ")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table, missed = [], [] if device == "cuda" else ["no GPU: nothing was measured"]
    for family in SHAPES:
        rows, lowest = measure(family, device, 400_000 if device == "cuda" else 3_000)
        table += rows
        print(f"{family}: lowest cosine of packed and padded vectors {lowest:.5f}")
        if lowest < SAME_COSINE:
            missed.append(f"{family}: packed and padded vectors differ: cosine {lowest:.5f}")
    print(tabulate(table, headers=["model", "how", "tokens/s"], tablefmt="github"))
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return int(args.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
