"""Lines that say, before encoding, what is sent to a model and how its states become a vector, each with its reason."""

import json
from collections.abc import Iterator

from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.own_profile import OWN_PROMPTS, own_prompts
from qzhou_eval.model.profile_choice import Choice
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings
from qzhou_eval.protocol.profile import TEXT, Profile
from qzhou_eval.protocol.profile_files import CHECKPOINT
from qzhou_eval.system.formatting import layers_text
from qzhou_eval.system.options import option


def sent_lines(
    checkpoint: Checkpoint,
    choice: Choice,
    settings: EncoderSettings,
    *,
    asked: EncoderOptions,
    layers: list[tuple[int, int] | None],
    use_instruction: bool,
) -> Iterator[str]:
    """Yield the lines to log.

    Args:
        asked: the options from which ``settings`` were resolved.
        layers: the layers with token prepending, per reading.

    Raises:
        BadInput: the checkpoint's own prompts cannot be read.
    """
    profile = choice.profile
    yield f"sent to {checkpoint.name}: {sent_text(profile, use_instruction=use_instruction)}, {choice}"
    for fact in profile.unverified:
        yield f"not verified in profile {profile.name}: {fact}"
    limit = "profile" if asked.max_length is None else option("max_length")
    cut = ", only the text is cut" if settings.truncate == "text" else ""
    prepending = _prepending(settings, asked, layers)
    documents = f", {settings.document_max_length} of documents" if settings.document_max_length else ""
    yield f"{prepending}; at most {settings.max_length} tokens{documents} ({limit}){cut}; {settings.precision}"
    pooling = f"pooling {settings.pooling.name} ({_by(profile.pooling)})"
    yield f"{pooling}, {settings.direction} attention ({_by(profile.attention)})"
    own = own_prompts(checkpoint)
    if unused := own.without_use if profile.name == CHECKPOINT else own.names:
        yield f"not used: the checkpoint's own prompts, {'; '.join(unused)} ({OWN_PROMPTS})"


def sent_text(profile: Profile, *, use_instruction: bool) -> str:
    """The templates with the instruction line in its place."""
    line = profile.instruction if use_instruction and profile.instruction else ""
    shown = [json.dumps(one.replace(TEXT, f"{line}{TEXT}"), ensure_ascii=False) for one in profile.templates]
    return shown[0] if len(shown) == 1 else f"{shown[0]}, documents {shown[1]}"


def _by(named: str | None) -> str:
    return "checkpoint" if named is None else "profile"


def _prepending(settings: EncoderSettings, asked: EncoderOptions, layers: list[tuple[int, int] | None]) -> str:
    if settings.trust_remote_code:
        return "token prepending as the checkpoint's own code does it"
    why = "profile" if len(layers) == 1 and asked.token_prepending == "auto" else option("token_prepending")
    named = " and ".join("off" if one is None else f"on layers {layers_text(one)}" for one in layers)
    return f"token prepending {named} ({why})"
