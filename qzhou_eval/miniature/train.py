"""Train the miniature's checkpoint on CPU: a tiny Qwen3 with token prepending and a Matryoshka loss.

    python -m qzhou_eval.miniature.train --output_dir qzhou_eval/miniature/mini-qwen3

It follows the card's stage 2 on a small scale: prompts rendered by the profile, each batch from one task
with its instruction, token prepending on in every forward pass, sentence-transformers' losses at
all eight dimensions at once. It never sees the meanings that the tasks hold out.
"""

import argparse
import logging
import random
import shutil
import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.losses import (
    BatchAllTripletLoss,
    BatchHardTripletLossDistanceFunction,
    CoSENTLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from qzhou_eval.miniature import grammar, lessons
from qzhou_eval.model.token_prepending import token_prepending
from qzhou_eval.protocol.profile import TEXT, Profile
from qzhou_eval.protocol.profile_files import load_profile

log = logging.getLogger(__name__)

HIDDEN_SIZE = 192
PROJECTION = 1792
RATE = 1e-3
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


class PrependingTransformer(Transformer):
    """The sentence-transformers module with token prepending around its decoder.

    The losses call ``model.forward`` by name, so a hook on the whole model would never fire; the
    hooks sit on the decoder's layers. The prompts' first placeholder is the template's.
    """

    placeholder_id: int
    prepending_layers: tuple[int, int]

    def forward(self, features: dict, **kwargs) -> dict:
        ids = features["input_ids"]
        first, last = self.prepending_layers
        with token_prepending(
            self.auto_model,
            placeholder_positions=(ids == self.placeholder_id).int().argmax(dim=1),
            last_positions=torch.full((len(ids),), ids.shape[1] - 1),
            first_layer=first,
            last_layer=last,
        ):
            return super().forward(features, **kwargs)


def train_tokenizer(profile: Profile) -> PreTrainedTokenizerFast:
    """The model's tokenizer, trained on the language's words and the prompts' fixed parts."""
    instructions = [text for task in profile.tasks.values() for text in task.texts]
    fixed = [*profile.templates[0].split(TEXT), profile.instruction or "", profile.empty_text, *instructions]
    return byte_level_bpe([*grammar.words(), *fixed], vocab_size=4096)


def byte_level_bpe(texts: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer built like Qwen's, with its special tokens, trained on ``texts``."""
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="left",
        truncation_side="right",
        model_max_length=2048,
    )


def new_model(profile: Profile, *, seed: int) -> SentenceTransformer:
    """The untrained model: the tokenizer, a small Qwen3, last-token pooling, projection."""
    assert profile.placeholder is not None and profile.token_prepending is not None  # the miniature's has both
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(profile)
    decoder = Qwen3Model(
        Qwen3Config(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            hidden_size=HIDDEN_SIZE,
            intermediate_size=384,
            num_hidden_layers=10,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            initializer_range=0.07,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        decoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        transformer = PrependingTransformer(
            folder,
            max_seq_length=profile.max_length,
            model_kwargs={"attn_implementation": "eager"},  # twice as fast to train on CPU as SDPA
        )
    transformer.placeholder_id = tokenizer.convert_tokens_to_ids(profile.placeholder)
    transformer.prepending_layers = profile.token_prepending
    model = SentenceTransformer(
        modules=[
            transformer,
            Pooling(HIDDEN_SIZE, pooling_mode="lasttoken"),
            Dense(HIDDEN_SIZE, PROJECTION, bias=True, activation_function=None),
        ],
        device="cpu",
    )
    _center(model, profile, random.Random(seed))
    return model


@torch.no_grad()
def _center(model: SentenceTransformer, profile: Profile, rng: random.Random) -> None:
    """Start the projection's bias so that vectors have mean zero.

    The template makes the untrained vectors of all prompts nearly the same, and nothing would be learned for
    a long time.
    """
    prompts = [lesson.columns[0] for lesson in lessons.draw(profile, rng, 32, batch=8)]
    vectors = [model(model.preprocess(column))["sentence_embedding"] for column in prompts]
    projection = model[2]
    assert isinstance(projection, Dense)
    projection.linear.bias.sub_(torch.cat(vectors).mean(dim=0))


def train(model: SentenceTransformer, profile: Profile, *, steps: int, batch: int, seed: int) -> None:
    """Train in place with AdamW, warm-up and cosine decay, in bfloat16 autocast."""
    dims = list(profile.matryoshka_dims)
    cosine = BatchHardTripletLossDistanceFunction.cosine_distance
    triplets = BatchAllTripletLoss(model, distance_metric=cosine, margin=0.25)
    losses = {
        "graded": MatryoshkaLoss(model, CoSENTLoss(model), dims),
        "ranked": MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), dims),
        "labelled": MatryoshkaLoss(model, triplets, dims, matryoshka_weights=[20.0] * len(dims)),
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.05)
    rng = random.Random(seed)
    model.train()
    for step, lesson in enumerate(lessons.draw(profile, rng, steps, batch=batch), start=1):
        features = [model.preprocess(column) for column in lesson.columns]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = losses[lesson.kind](features, lesson.labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps:
            log.info("step %d/%d  %s (%s) loss %.3f", step, steps, lesson.task, lesson.kind, loss.item())


def save(model: SentenceTransformer, folder: Path) -> None:
    """Save as a stock sentence-transformers folder in bfloat16: the saved model does not depend on this project."""
    model = model.to(torch.bfloat16)
    model[0].__class__ = Transformer
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(str(folder), create_model_card=False)
    settings = folder / "tokenizer_config.json"  # a name that transformers 4 also knows
    settings.write_text(settings.read_text("utf-8").replace("TokenizersBackend", "PreTrainedTokenizerFast"), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the miniature's checkpoint on CPU.")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700, help="0 saves the untrained checkpoint")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    profile = load_profile("qzhou-zh-mini")
    model = new_model(profile, seed=args.seed)
    log.info("%d parameters", sum(p.numel() for p in model.parameters()))
    if args.steps:
        train(model, profile, steps=args.steps, batch=args.batch, seed=args.seed + 1)
    save(model, args.output_dir)


if __name__ == "__main__":
    main()
