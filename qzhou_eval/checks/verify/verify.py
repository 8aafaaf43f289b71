"""The ``verify`` command: checks that two sides are the same model, sent the same input."""

import logging
from pathlib import Path

import numpy as np

from qzhou_eval.checks.verify.other_process import Reply, ask
from qzhou_eval.checks.verify.report import report
from qzhou_eval.checks.verify.statement import OtherSide, Statement, read_file, write_file
from qzhou_eval.checks.verify.this_side import Input, prepare_input, state
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint, find_checkpoint
from qzhou_eval.model.folder.modules import read_modules
from qzhou_eval.model.folder.remote_code import check_beside_the_decoders, how_to_bring
from qzhou_eval.model.profile_choice import choose_profile
from qzhou_eval.protocol.probe_texts import TEXTS
from qzhou_eval.system.files import check_writable

log = logging.getLogger(__name__)

REMOTE = "remote"
ORIGINS = {
    REMOTE: "the checkpoint's own code, through sentence-transformers",
    "sentence-transformers": "a plain sentence-transformers load, which runs without token prepending",
}


def verify(
    model_name_or_path: str,
    *,
    revision: str | None,
    profile: str | None,
    against: str | None,
    save: Path | None,
    device: str,
) -> int:
    """Print what our side is, how it compares with the other one, and a verdict; return the exit code.

    Args:
        against: ``"remote"`` (the checkpoint's own code, run in another process), ``"sentence-transformers"``
            (the same without its code), a probe file's path, or None to state only our side.
        save: where to write our side's probe file.

    Raises:
        BadInput: something given cannot be read or written, or does not fit model, profile or machine.
    """
    checkpoint = find_checkpoint(model_name_or_path, revision=revision, trust_remote_code=against == REMOTE)
    choice = choose_profile(profile, checkpoint)
    other = None
    if against is not None and against not in ORIGINS:
        other = read_file(Path(against), prompts=len(TEXTS), width=checkpoint.width)
    if save is not None:
        check_writable("--save", save.parent)
    sent = prepare_input(checkpoint, choice.profile, device)
    log.info("%s: %s", checkpoint.name, choice)
    reply = _ask(sent, remote_code=against == REMOTE) if against in ORIGINS else None
    ours, vectors = state(sent)
    if against in ORIGINS and reply is not None:
        other = _peer(ORIGINS[against], ours, reply)
    if save is not None:
        write_file(save, ours, {p: found[ours.token_prepending] for p, found in vectors.items()})
        log.info("written: %s", save)
    return report(sent, ours, vectors, other)


def _ask(sent: Input, *, remote_code: bool) -> Reply:
    """Run the same prompts through sentence-transformers, before our model takes memory.

    A prompt without tokens (the empty one, in profiles without a template) is not sent: it cannot be run there.
    """
    folder = sent.checkpoint.folder
    if not (folder / "modules.json").is_file():
        raise BadInput(
            f"{folder}: no modules.json: sentence-transformers does not know its pooling; give a file that --save wrote"
        )
    if remote_code:
        own = _code(sent.checkpoint)
        check_beside_the_decoders(
            folder, sent.checkpoint.body, how=how_to_bring(sent.checkpoint.name, sent.checkpoint.commit)
        )
        log.warning("running the checkpoint's own code %s, revision %s", own, sent.checkpoint.revision)
    elif custom := [kind for kind in read_modules(folder).classes if not kind.startswith("sentence_transformers.")]:
        raise BadInput(
            f"{folder / 'modules.json'}: {custom[0]} is code of the checkpoint, which even a plain load may run; "
            "to run it, give --against remote"
        )
    log.info("computing the other side in both precisions")
    prompts = [prompt for prompt, ids in zip(sent.prompts, sent.ids, strict=True) if ids]
    settings = sent.settings
    return ask(folder, prompts, device=settings.device, max_length=settings.max_length, remote_code=remote_code)


def _code(checkpoint: Checkpoint) -> str:
    """The decoder class in the checkpoint's own code."""
    if checkpoint.own_code is None:
        raise BadInput(
            f"--against remote: {checkpoint.body / 'config.json'} names no code of its own (auto_map, AutoModel); "
            "use --against sentence-transformers, or a file that --save wrote"
        )
    return checkpoint.own_code


def _peer(origin: str, ours: Statement, reply: Reply) -> OtherSide:
    """The other side: our prompts and files, and the process's own token ids, parameter count and vectors."""
    sent = [row for row, ids in enumerate(ours.ids) if ids]
    ids = dict(zip(sent, reply.ids, strict=True))
    update = {"ids": [ids.get(row, []) for row in range(len(ours.ids))], "parameters": reply.parameters}
    vectors = {}
    for precision, found in reply.vectors.items():
        vectors[precision] = np.zeros((len(ours.ids), found.shape[1]), np.float32)
        vectors[precision][sent] = found
    return OtherSide(origin, ours.model_copy(update=update), vectors, same_files=True)
