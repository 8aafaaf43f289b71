"""Prepares a run: resolves its configuration against tasks, data and what is evaluated."""

from dataclasses import dataclass, replace
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark, named_tasks
from qzhou_eval.benchmark.data_sources import DataSource, NoData, locate, no_data
from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import Variant
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.subjects.checkpoint import checkpoint_subject
from qzhou_eval.run.subjects.subject import Subject
from qzhou_eval.system.environment import code_revision
from qzhou_eval.system.files import check_writable
from qzhou_eval.system.mteb_version import generation


@dataclass(frozen=True)
class Run:
    """A run that is ready to start: everything is resolved, nothing has been computed or written yet.

    ``reencode`` and ``reevaluate`` name the tasks whose vectors and scores are made again even if they exist.
    ``code`` is this project's own revision. ``model_label`` is what reports call the model, None for its name.
    ``no_samples``: the manifest records no prompt.
    ``score_profile`` decides which splits count in the scores that are logged during the run; results have all splits.
    ``without_data`` are requested tasks that a plan leaves out.
    """

    subject: Subject
    benchmark: Benchmark
    tasks: list[Task]
    without_data: list[Task]
    sources: dict[str, DataSource]
    data_dir: Path | None
    use_instruction: bool
    code: dict[str, str | bool | None]
    output_dir: Path
    store_dir: Path
    eval_workers: int | None
    evaluators: str
    score_profile: str
    model_label: str | None
    no_samples: bool
    reencode: frozenset[str]
    reevaluate: frozenset[str]

    @property
    def variants(self) -> list[Variant]:
        """The variants of all readings."""
        return [variant for reading in self.subject.readings for variant in reading.variants]


def prepare_run(config: RunConfig, *, encodes: bool = True, plans: bool = False) -> Run:
    """Resolve a configuration against profile, tasks, data and what is evaluated.

    Args:
        encodes: whether vectors may have to be written; if not, a read-only store is enough.
        plans: whether to plan only: tasks without data are left out, and workers need not be available.

    Raises:
        BadInput: something in the configuration cannot work; raised before anything is computed or written.
    """
    if not encodes:
        config = replace(config, workers=None)
    benchmark = find_benchmark(config.benchmark, config.tasks)
    tasks = benchmark.select(config.tasks, config.task_types)
    if generation() == "card" and not benchmark.of_card:
        raise BadInput(f"{benchmark.title.en} runs under --mteb current only; the card's mteb scores CMTEB")
    reencode = named_tasks("--reencode", config.reencode, tasks)
    reevaluate = named_tasks("--reevaluate", config.reevaluate, tasks) | reencode
    sources = _sources(tasks, config.data_dir, partly=plans)
    subject = _subject(config, tasks, encodes=encodes, plans=plans)
    output_dir, store_dir = config.folders(subject.readings[0].variants[0].model)
    check_writable("--output_dir", output_dir)
    _check_names(output_dir, benchmark)
    if encodes:
        check_writable("--store_dir", store_dir)
    return Run(
        subject=subject,
        benchmark=benchmark,
        tasks=[task for task in tasks if task.name in sources],
        without_data=[task for task in tasks if task.name not in sources],
        sources=sources,
        data_dir=config.data_dir,
        use_instruction=config.use_instruction,
        code=code_revision(),
        output_dir=output_dir,
        store_dir=store_dir,
        eval_workers=config.eval_workers,
        evaluators=config.evaluators,
        score_profile=config.score_profile,
        model_label=config.model_label,
        no_samples=config.no_samples,
        reencode=reencode,
        reevaluate=reevaluate,
    )


def _check_names(output_dir: Path, benchmark: Benchmark) -> None:
    """Refuse a folder with results of another benchmark's task that only shares its name."""
    for other in Manifest(output_dir).benchmarks():
        for name in [name for name in benchmark.names if other.name != benchmark.name and name in other.by_name]:
            one, two = benchmark.by_name[name], other.by_name[name]
            if (one.type, one.path, one.parts) != (two.type, two.path, two.parts):
                raise BadInput(
                    f"--output_dir {output_dir}: has results of another {name}, of {other.name}; give another"
                )


def _subject(config: RunConfig, tasks: list[Task], *, encodes: bool, plans: bool) -> Subject:
    """What is evaluated: a checkpoint, an endpoint, or a user's own encoder."""
    if config.served is not None and config.encoder is not None:
        raise BadInput(f"--encoder {config.encoder} and --endpoint {config.served.endpoint}: give one of them")
    if config.served is not None:
        from qzhou_eval.run.subjects.endpoint import endpoint_subject

        return endpoint_subject(config, config.served, tasks, contacts=encodes, writes=encodes and not plans)
    if config.encoder is not None:
        from qzhou_eval.run.subjects.own_encoder import own_subject

        return own_subject(config, config.encoder, tasks)
    if config.model_name_or_path is None:
        raise BadInput("give --model_name_or_path M, --endpoint URL or --encoder package.module:Class")
    if config.model_name_or_path.startswith(("http://", "https://")):
        raise BadInput(f"--model_name_or_path {config.model_name_or_path}: a URL; give it as --endpoint")
    return checkpoint_subject(config, config.model_name_or_path, tasks, plans=plans)


def _sources(tasks: list[Task], data_dir: Path | None, *, partly: bool) -> dict[str, DataSource]:
    """Where each task's data is; ``partly``: leave out tasks without data, as long as one has data.

    Raises:
        BadInput: tasks' data is missing; the message names them all.
    """
    found, missing = {}, []
    for task in tasks:
        try:
            found[task.name] = locate(task, data_dir)
        except NoData:
            missing.append(task)
    if missing and not (partly and found):
        raise no_data(missing, data_dir)
    return found
