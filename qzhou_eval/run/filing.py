"""Names the variant that results are filed under, by what differs from the profile's protocol."""

from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.settings import EncoderSettings
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.profile_files import filed_as, profile_of
from qzhou_eval.results.variant import Variant
from qzhou_eval.system.formatting import layers_text
from qzhou_eval.system.mteb_version import CARD_MTEB, generation
from qzhou_eval.system.options import CARD_PROFILE


def variant_of(
    checkpoint: Checkpoint,
    profile: Profile,
    settings: EncoderSettings,
    *,
    dim: int,
    normalize: bool,
    use_instruction: bool,
) -> Variant:
    """The variant of a checkpoint under these settings, scored by the installed mteb."""
    experiment = _experiment(checkpoint.name, profile, settings, normalize=normalize, use_instruction=use_instruction)
    if dim != checkpoint.width:
        experiment["dim"] = dim
    return Variant(
        model=checkpoint.name,
        revision=checkpoint.revision,
        dim=dim,
        width=checkpoint.width,
        profile=profile.name,
        profile_digest=profile.digest,
        fingerprint=settings.fingerprint(checkpoint, profile),
        token_prepending=settings.token_prepending,
        normalize=normalize,
        use_instruction=use_instruction,
        max_length=settings.max_length,
        truncate=settings.truncate,
        dtype=settings.precision,
        experiment=tuple(sorted(experiment.items())),
    )


def variant_without_checkpoint(
    *,
    model: str,
    revision: str,
    dim: int,
    width: int,
    profile: Profile,
    own_profile: str,
    fingerprint: str,
    max_length: int,
    dtype: str,
    normalize: bool,
    use_instruction: bool,
) -> Variant:
    """The variant of an encoder that is no checkpoint here: an endpoint, or a user's own.

    Args:
        own_profile: the profile whose results are filed in the model's main folder.
    """
    experiment: dict[str, str | int] = {} if dim == width else {"dim": dim}
    if generation() == "card":
        experiment["mteb"] = CARD_MTEB
    if filed_as(profile) != own_profile:
        experiment["profile"] = filed_as(profile)
    if max_length != profile.max_length:
        experiment["max_length"] = max_length
    experiment |= _uses(normalize=normalize, use_instruction=use_instruction)
    return Variant(
        model=model,
        revision=revision,
        dim=dim,
        width=width,
        profile=profile.name,
        profile_digest=profile.digest,
        fingerprint=fingerprint,
        token_prepending=None,
        normalize=normalize,
        use_instruction=use_instruction,
        max_length=max_length,
        truncate="whole",
        dtype=dtype,
        experiment=tuple(sorted(experiment.items())),
    )


def _uses(*, normalize: bool, use_instruction: bool) -> dict[str, str | int]:
    off = {"normalize": normalize, "instruction": use_instruction}
    return {name: "off" for name, used in off.items() if not used}


def _experiment(
    model: str, profile: Profile, settings: EncoderSettings, *, normalize: bool, use_instruction: bool
) -> dict[str, str | int]:
    """All differences except the dimension, as mteb's ``experiment_kwargs``: values are text and numbers."""
    experiment: dict[str, str | int] = {}
    if generation() == "card":
        experiment["mteb"] = CARD_MTEB
    name = filed_as(profile)
    own = profile_of(model)
    if name != (CARD_PROFILE if own is None else own.name):
        experiment["profile"] = name
    if settings.trust_remote_code:
        experiment["remote_code"] = "on"
    elif settings.token_prepending != profile.token_prepending:
        experiment["token_prepending"] = layers_text(settings.token_prepending)
    limits = settings.max_length, settings.document_max_length
    if limits != (profile.max_length, profile.document_max_length):
        experiment["max_length"] = settings.max_length
    if settings.truncate != "whole":
        experiment["truncate"] = settings.truncate
    if settings.precision != profile.dtype:
        experiment["dtype"] = settings.precision
    return experiment | _uses(normalize=normalize, use_instruction=use_instruction)
