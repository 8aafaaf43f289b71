"""Refuses flags that only a model on this machine has."""

from dataclasses import fields

from qzhou_eval.errors import BadInput
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.run.config import RunConfig
from qzhou_eval.system.options import option


def refuse_local_flags(config: RunConfig, evaluated: str, *, but: tuple[str, ...] = ()) -> None:
    """Refuse what cannot have an effect on ``evaluated``, an endpoint or a user's own encoder.

    Args:
        but: options that it has, too.

    Raises:
        BadInput: names the first such flag.
    """
    given = {name: getattr(config, name) for name in ("model_name_or_path", "revision", "workers", "ray")}
    given = {name: value for name, value in given.items() if value is not None}
    for field in fields(EncoderOptions):
        value = getattr(config.options, field.name)
        if field.name not in but and value != field.default:
            given[field.name] = value
    if config.also_token_prepending:
        given["token_prepending"] = config.also_token_prepending[0]
    for name, value in given.items():
        raise BadInput(f"{option(name, value)}: only for a model on this machine, not with {evaluated}; drop one")
