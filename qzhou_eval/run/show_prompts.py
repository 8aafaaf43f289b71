"""``prompts show``: what is sent to the model for a task, byte for byte and token by token."""

from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.packaged import task_named
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.profile_choice import choose_profile
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import prompts_of, sides_of
from qzhou_eval.protocol.texts import check_text
from qzhou_eval.system.options import CARD_PROFILE


def show_prompts(
    task_name: str,
    text: str,
    profile_name: str | None,
    model: str | None,
    *,
    benchmark: str | None = None,
    use_instruction: bool,
) -> None:
    """Print a task's rendered prompt for each side and, with a model, its token ids.

    Raises:
        BadInput: unknown task, profile or model, or no instruction for the task.
    """
    task = task_named(task_name) if benchmark is None else find_benchmark(benchmark).select([task_name], None)[0]
    check_text(text, "--text")
    checkpoint = model and find_checkpoint(model)
    tokenizer = None
    if checkpoint:
        from qzhou_eval.model.tokenizer import PromptTokenizer

        choice = choose_profile(profile_name, checkpoint)
        profile = choice.profile
        print(f"{choice}\n")
        tokenizer = PromptTokenizer(
            checkpoint,
            profile,
            max_length=profile.max_length,
            document_max_length=profile.document_max_length,
            truncate="whole",
        )
    else:
        profile = load_profile(profile_name or CARD_PROFILE)
    for side in sides_of(task):
        (prompt,) = prompts_of(profile, task, side, [text], use_instruction=use_instruction)
        print(f"{task.name}, {side or 'both sides'}:\n{prompt}")
        if tokenizer is not None:
            ids = list(tokenizer([prompt])[0].ids)
            print(f"{len(ids)} tokens: {ids}")
            if profile.placeholder is not None:
                position, _ = tokenizer.placeholder()
                last = tokenizer.decode(ids[-1:])
                print(f"placeholder {profile.placeholder} is token {position}, last token {last!r}")
        print()
