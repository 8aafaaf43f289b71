"""Between us and mteb: one face for each generation, and what both share. The rest does not know which one runs.

A face is a module with the functions ``load`` (a task and its data), ``calls`` (the texts that mteb will ask for),
``score`` (a task from stored vectors, at each variant), ``meta`` (what ``model_meta.json`` says) and, for an encoder
that mteb itself is given, ``model_meta``, ``cos_sim`` and ``pairwise_cos_sim``.
"""

from qzhou_eval.generation import generation


def face():
    """The face of the installed mteb."""
    if generation() == "card":
        from qzhou_eval.adapter import card

        return card
    from qzhou_eval.adapter import current

    return current
