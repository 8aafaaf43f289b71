"""What every command does with a model folder before it loads the model."""

import logging

from qzhou_eval.model.folder.checkpoint import Checkpoint, find_checkpoint
from qzhou_eval.model.settings import EncoderOptions, resolve_settings
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.profile_files import load_profile


def come_in(folder, profile="plain", **options) -> tuple[Checkpoint, PromptTokenizer]:
    """Find the checkpoint, resolve the settings and open the tokenizer: what every command does first."""
    checkpoint, rules = find_checkpoint(str(folder)), load_profile(profile)
    settings = resolve_settings(checkpoint, rules, EncoderOptions(device="cpu", **options))
    settings.fingerprint(checkpoint, rules)
    return checkpoint, PromptTokenizer(checkpoint, rules, max_length=settings.max_length, truncate=settings.truncate)


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
