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
    if not normalize:
        experiment["normalize"] = "off"
    if not use_instruction:
        experiment["instruction"] = "off"
    return experiment
