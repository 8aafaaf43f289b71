"""``prompts show``: what is sent to the model for a task, byte for byte and token by token."""

from qzhou_eval.benchmark.registry import task_named
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.profile_choice import profile_for
from qzhou_eval.protocol.profile import load_profile
from qzhou_eval.protocol.prompts import check_text, instruction_for, render
from qzhou_eval.system.options import DEFAULT_PROFILE


def show_prompts(
    task_name: str, text: str, profile_name: str | None, model: str | None, *, use_instruction: bool
) -> None:
    """Print a task's rendered prompt for each side and, with a model, its token ids.

    Raises:
        BadInput: unknown task, profile or model, or no instruction for the task.
    """
    task = task_named(task_name)
    checkpoint = model and find_checkpoint(model)
    profile = profile_for(profile_name, checkpoint) if checkpoint else load_profile(profile_name or DEFAULT_PROFILE)
    asymmetric = task.type in ("Retrieval", "Reranking")
    check_text(text, "--text")
    tokenizer = None
    if checkpoint:
        from qzhou_eval.model.tokenizer import PromptTokenizer

        tokenizer = PromptTokenizer(checkpoint, profile, max_length=profile.max_length, truncate="whole")
    for side in ("query", "document") if asymmetric else (None,):
        instruction = instruction_for(profile, task.name, side) if use_instruction else None
        prompt = render(profile, text, instruction)
        print(f"{task.name}, {side or 'both sides'}:\n{prompt}")
        if tokenizer is not None:
            ids = list(tokenizer([prompt])[0].ids)
            print(f"{len(ids)} tokens: {ids}")
            if profile.placeholder is not None:
                position, _ = tokenizer.placeholder()
                last = tokenizer.decode(ids[-1:])
                print(f"placeholder {profile.placeholder} is token {position}, last token {last!r}")
        print()
