"""``models``: the models whose protocol is shipped, and what is known of each."""

from collections.abc import Iterator

from tabulate import tabulate

from qzhou_eval.benchmark.averages import MEAN_TASK, table_row
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.benchmark.published import Published, scores_of
from qzhou_eval.protocol.profile import Profile, ProfileModel
from qzhou_eval.protocol.profile_files import shipped_profiles

_WHERE = {"yes": "here", "api": "as an API only", "no": "closed"}


def print_models() -> None:
    """Print a row for each model, with its published Mean(Task) of CMTEB, then what is not verified."""
    published = scores_of(cmteb())
    profiles = [profile for profile in shipped_profiles() if profile.models]
    rows = [_row(profile, model, published.get(model.name)) for profile in profiles for model in profile.models]
    rows.sort(key=lambda row: (row[-1] is None, -(row[-1] or 0), row[0].lower()))
    headers = ("model", "profile", "architecture", "vector", "pooling", "prompts", "runs", "Mean(Task)")
    print(tabulate(rows, headers, floatfmt=".2f", missingval="-", disable_numparse=[3]))
    print("\nMean(Task): published, of all 31 tasks of CMTEB. Pooling -: as the model's own files say.")
    print(f"Profiles of no model in particular: {', '.join(p.name for p in shipped_profiles() if not p.models)}")
    facts = [f"  {profile.name}: {fact}" for profile in profiles for fact in profile.unverified]
    print("\nNot verified, (inf) inferred, (gk) general knowledge:", *facts, sep="\n")


def _row(profile: Profile, model: ProfileModel, published: Published | None) -> list:
    layers = f", {model.layers} layers" if model.layers else ""
    architecture = f"{model.model_type}{layers}" if model.model_type else None
    if profile.attention == "bidirectional":
        architecture = ", ".join(filter(None, (architecture, "both ways")))
    prompts = ", ".join(_prompts(profile)) or "none"
    mean = None if published is None else _mean_task(published)
    width = model.width or max(profile.matryoshka_dims, default=None)
    dims = sum(dim <= (width or 0) for dim in profile.matryoshka_dims)
    vector = f"{width}, {dims} dims" if width and dims else width
    return [model.name, profile.name, architecture, vector, profile.pooling, prompts, _WHERE[profile.open], mean]


def _prompts(profile: Profile) -> Iterator[str]:
    if profile.placeholder is not None:
        yield "PromptEOL"
    if len(profile.templates) > 1:
        yield "by side"
    if profile.types:
        yield "by type"
    if profile.tasks:
        yield f"{len(profile.tasks)} tasks"


def _mean_task(published: Published) -> float | None:
    found = {task.name: task.score(published.scores.get(task.name, {}), "card") for task in cmteb().tasks}
    mean = table_row(found, cmteb())[MEAN_TASK]
    return None if mean is None else 100 * mean
