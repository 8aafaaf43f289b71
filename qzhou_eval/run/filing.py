"""Names the variant that results are filed under, by what differs from the profile's protocol."""

from dataclasses import replace

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
    own = profile_of(checkpoint.name)
    filed = variant_without_checkpoint(
        model=checkpoint.name,
        revision=checkpoint.revision,
        dim=dim,
        width=checkpoint.width,
        profile=profile,
        own_profile=CARD_PROFILE if own is None else own.name,
        fingerprint=settings.fingerprint(checkpoint, profile),
        max_length=settings.max_length,
        dtype=settings.precision,
        normalize=normalize,
        use_instruction=use_instruction,
    )
    return replace(
        filed,
        token_prepending=settings.token_prepending,
        truncate=settings.truncate,
        experiment=tuple(sorted({**dict(filed.experiment), **_settings(profile, settings)}.items())),
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

    Its experiment is mteb's ``experiment_kwargs``: values are text and numbers.

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
    if not normalize:
        experiment["normalize"] = "off"
    if not use_instruction:
        experiment["instruction"] = "off"
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


def _settings(profile: Profile, settings: EncoderSettings) -> dict[str, str | int]:
    """What only a checkpoint's settings can differ in from the profile."""
    experiment: dict[str, str | int] = {}
    if settings.trust_remote_code:
        experiment["remote_code"] = "on"
    elif settings.token_prepending != profile.token_prepending:
        experiment["token_prepending"] = layers_text(settings.token_prepending)
    if settings.document_max_length != profile.document_max_length:
        experiment["max_length"] = settings.max_length
    if settings.truncate != "whole":
        experiment["truncate"] = settings.truncate
    if settings.precision != profile.dtype:
        experiment["dtype"] = settings.precision
    return experiment
