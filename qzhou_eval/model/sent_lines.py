"""Lines that say, before encoding, what is sent to a model and how its states become a vector, each with its reason."""

import json
from collections.abc import Iterator

from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import read_if_there
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.system.formatting import layers_text
from qzhou_eval.system.options import option

OWN_PROMPTS = "config_sentence_transformers.json"


def own_prompts(checkpoint: Checkpoint) -> list[str]:
    """The names of the prompts that sentence-transformers would put in front of texts; the default one is marked.

    Raises:
        BadInput: the file that contains them is damaged.
    """
    content = read_if_there(checkpoint.folder / OWN_PROMPTS)
    prompts, default = content.get("prompts"), content.get("default_prompt_name")
    given = [name for name, text in prompts.items() if text] if isinstance(prompts, dict) else []
    return [f"{name}, the default" if name == default else name for name in given]


def sent_lines(
    checkpoint: Checkpoint,
    profile: Profile,
    settings: EncoderSettings,
    *,
    asked: EncoderOptions,
    given: bool,
    layers: list[tuple[int, int] | None],
    use_instruction: bool,
) -> Iterator[str]:
    """Yield the lines to log.

    Args:
        asked: the options from which ``settings`` were resolved.
        given: whether the profile was asked for.
        layers: the layers with token prepending, per reading.

    Raises:
        BadInput: the checkpoint's own prompts cannot be read.
    """
    why = option("profile") if given else "the model's own" if profile.is_of(checkpoint.name) else "default"
    line = profile.instruction if use_instruction and profile.instruction else ""
    template = json.dumps(f"{profile.prefix}{line}{{text}}{profile.suffix}", ensure_ascii=False)
    yield f"sent to {checkpoint.name}: {template}, profile {profile.name} ({why})"
    limit = "profile" if asked.max_length is None else option("max_length")
    cut = ", only the text is cut" if settings.truncate == "text" else ""
    prepending = _prepending(settings, asked, layers)
    yield f"{prepending}; at most {settings.max_length} tokens ({limit}){cut}; {settings.precision}"
    pooling = f"pooling {settings.pooling.name} ({_by(profile.pooling)})"
    yield f"{pooling}, {settings.direction} attention ({_by(profile.attention)})"
    if own := own_prompts(checkpoint):
        yield f"not used: the checkpoint's own prompts, {'; '.join(own)} ({OWN_PROMPTS})"


def _by(named: str | None) -> str:
    return "checkpoint" if named is None else "profile"


def _prepending(settings: EncoderSettings, asked: EncoderOptions, layers: list[tuple[int, int] | None]) -> str:
    if settings.trust_remote_code:
        return "token prepending as the checkpoint's own code does it"
    why = "profile" if len(layers) == 1 and asked.token_prepending == "auto" else option("token_prepending")
    named = " and ".join("off" if one is None else f"on layers {layers_text(one)}" for one in layers)
    return f"token prepending {named} ({why})"
