"""Picks the adapter for the installed mteb. The rest of the project does not know which one runs.

An adapter is a module with the functions ``load`` (a task and its data), ``calls`` (the texts that mteb will ask for),
``joins_titles`` (whether they contain titles that are not given apart), ``has_official_statistics`` (whether the data
are the official ones, as far as statistics tell), ``score`` (a task from stored vectors, at each variant), ``meta``
(the content of ``model_meta.json``) and, for an encoder that is passed to mteb itself, ``model_meta``, ``cos_sim`` and
``pairwise_cos_sim``.
"""

from qzhou_eval.system.mteb_version import generation


def installed_adapter():
    """Import and return the adapter of the installed mteb."""
    if generation() == "card":
        from qzhou_eval.evaluate.mteb_adapter import v1

        return v1
    from qzhou_eval.evaluate.mteb_adapter import v2

    return v2
