"""``run``, ``plan``, ``encode`` and ``evaluate``: the run's flags, and the stages behind them."""

import argparse
import logging
from dataclasses import fields
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from qzhou_eval.cli.endpoint_flags import add_endpoint_flags, served
from qzhou_eval.cli.flags import (
    add_benchmark,
    add_offline,
    add_score_profile,
    boolean,
    existing_folder,
    folder_to_fill,
    label,
    layers,
    path_or_name,
    profile_flag,
    reading,
    text,
    whole,
)
from qzhou_eval.errors import EXIT_BAD_INPUT, EXIT_FAILED_TASKS, BadInput
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import EVALUATORS, SHARED
from qzhou_eval.system.mteb_version import switch_environment

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from qzhou_eval.run.outcome import Outcome
    from qzhou_eval.run.prepare import Run

log = logging.getLogger(__name__)

Layers: TypeAlias = str | tuple[int, int]  # a value of --token_prepending
Chosen = TypeVar("Chosen", bound="DataclassInstance")


def add(verbs) -> None:
    """Add the four commands to the parser."""
    for name, command, help in (
        ("run", _run, "plan, encode, evaluate and report"),
        ("plan", _plan, "show what run would encode, per task; nothing is computed"),
        ("encode", _encode, "encode the missing vectors into the store; nothing is scored"),
        ("evaluate", _evaluate, "score from the store; the model is not loaded"),
    ):
        usage = f"qzhou-eval {name} (--model_name_or_path M | --endpoint URL | --encoder MODULE:CLASS) [options]"
        verb = verbs.add_parser(name, help=help, usage=usage, description=help[0].upper() + help[1:] + ".")
        scores = name in ("run", "evaluate")
        _add_flags(verb, dry_run=name == "run", plans=name in ("run", "plan"), scores=scores)
        _add_again(verb, vectors=name in ("run", "encode"), scores=scores)
        verb.set_defaults(command=command)


def _add_flags(parser: argparse.ArgumentParser, *, dry_run: bool, plans: bool, scores: bool) -> None:
    parser.set_defaults(model_label=None, no_samples=False)
    what = parser.add_argument_group("what to evaluate")
    what.add_argument("--model_name_or_path", type=path_or_name, metavar="M", help="folder or hub name")
    what.add_argument("--revision", type=text, help="branch, tag or commit on the hub")
    what.add_argument("--encoder", type=text, metavar="MODULE:CLASS", help="a class of your own that makes vectors")
    if scores:
        what.add_argument("--model_label", type=label, metavar="NAME", help="name of the model in reports and check")
    add_benchmark(what, "(default: cmteb)")
    what.add_argument("--tasks", nargs="*", metavar="TASK", help="only these tasks of the benchmark")
    what.add_argument("--task_types", nargs="*", metavar="TYPE", help="only tasks of these types")
    what.add_argument("--dim", nargs="+", default=[], metavar="N", help="dimensions, or all (default: full width)")
    add_endpoint_flags(parser, plans=plans)
    how = parser.add_argument_group("protocol")
    profile_flag(how)
    how.add_argument("--default_profile", help=argparse.SUPPRESS)  # of run_cmteb_all.py
    how.add_argument(
        "--normalize", type=boolean, default=True, metavar="BOOL", help="L2-normalise the cut vectors (default: true)"
    )
    how.add_argument(
        "--use_instruction", type=boolean, default=True, metavar="BOOL", help="send the instruction (default: true)"
    )
    how.add_argument(
        "--token_prepending",
        nargs="+",
        type=reading,
        default=["auto"],
        metavar="TP",
        help="auto (as in the profile), on, off, or layers such as 1-7; several are encoded in turn by one loaded "
        "model, then scored and reported side by side (default: auto)",
    )
    how.add_argument("--tp_layers", type=layers, metavar="1-7", help="for auto and on: 0-based, both ends included")
    how.add_argument("--max_length", type=whole(1, 10**8), metavar="N", help="limit in tokens, template included")
    how.add_argument(
        "--truncate", choices=("whole", "text"), default="whole", help="cut the whole prompt or only the text"
    )
    how.add_argument(
        "--mteb",
        choices=("current", "card"),
        default="current",
        help="score with mteb 2.26.24 or the model card's 1.38.30, from the same store (default: current)",
    )
    _add_places(parser, dry_run=dry_run, scores=scores)
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--dtype",
        choices=("auto", "bfloat16", "float16", "float32"),
        default="auto",
        help="auto: bfloat16 on a GPU, float32 on a CPU",
    )
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    machine.add_argument(
        "--attention",
        choices=("auto", "packed", "padded"),
        default="auto",
        help="packed: many prompts in one row, no padding; auto: the fastest way that keeps prompts independent",
    )
    machine.add_argument("--batch_tokens", type=whole(1, 10**8), metavar="N", help="tokens per forward pass")
    machine.add_argument("--compile", action="store_true", help="compile the decoder's layers with torch.compile")
    machine.add_argument("--fp8", action="store_true", help="FP8 matrix products; not for published scores")
    machine.add_argument(
        "--workers", type=whole(1, 4096), metavar="N", help="processes with the model, one GPU each, through Ray"
    )
    machine.add_argument(
        "--ray", type=text, metavar="ADDRESS", help="run workers on all GPUs of this Ray cluster (or auto)"
    )
    if plans:
        machine.add_argument(
            "--gpu",
            choices=("h100", "h200", "a100", "4090", "cpu"),
            help="estimate the time on this hardware, times --workers; measured if this machine has it",
        )
    machine.add_argument("--eval_workers", type=whole(1, 1024), metavar="N", help="processes that read data and score")
    machine.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    machine.add_argument(
        "--allow_pickle",
        action="store_true",
        help="load a pytorch_model.bin where there is no safetensors file, by torch's weights-only loader",
    )
    said = machine.add_mutually_exclusive_group()
    said.add_argument("--quiet", action="store_true", help="print only warnings, and the table of scores at the end")
    said.add_argument("--verbose", action="store_true", help="also print a line per batch")


def _add_places(parser: argparse.ArgumentParser, *, dry_run: bool, scores: bool) -> None:
    """Add the flags that say where data, vectors and results are, and what is recorded."""
    where = parser.add_argument_group("data and output")
    where.add_argument("--data_dir", type=existing_folder, metavar="ROOT", help="read ROOT/<data set path>, no network")
    add_offline(where)
    where.add_argument("--output_dir", type=folder_to_fill, metavar="D", help="results; default: results/<model name>")
    where.add_argument("--store_dir", type=folder_to_fill, metavar="S", help="vectors; default: D/store")
    where.add_argument(
        "--evaluators",
        choices=EVALUATORS,
        default=SHARED,
        help="shared: do the work that all dimensions share once, with the same scores; mteb: only mteb's own code",
    )
    if scores:
        about = "record no prompts: without it the manifest and the report show one of each side and task"
        where.add_argument("--no_samples", action="store_true", help=about)
    add_score_profile(where)
    if dry_run:
        where.add_argument("--dry_run", action="store_true", help="print the plan and stop")


def _add_again(parser: argparse.ArgumentParser, *, vectors: bool, scores: bool) -> None:
    """Add the flags that compute vectors or scores again and compare them with the existing ones."""
    parser.set_defaults(reencode=None, reevaluate=None)
    again = parser.add_argument_group("compute again, and compare with the existing results")
    if vectors:
        also = ", and then scores" if scores else ""
        about = f"vectors{also}, of all tasks or of those named"
        again.add_argument("--reencode", nargs="*", metavar="TASK", help=about)
    if scores:
        about = "scores, of all tasks or of those named"
        again.add_argument("--reevaluate", nargs="*", metavar="TASK", help=about)


def _prepared(args: argparse.Namespace, **what: bool) -> "Run":
    """Prepare the run, and log what it sends."""
    switch_environment(args.mteb, args.argv)
    from qzhou_eval.model.settings import EncoderOptions
    from qzhou_eval.run.config import RunConfig
    from qzhou_eval.run.prepare import prepare_run

    args.token_prepending, *args.also_token_prepending = _readings(args.token_prepending, args.tp_layers)
    args.options, args.served = _pick(EncoderOptions, args), served(args)
    run = prepare_run(_pick(RunConfig, args), **what)
    for line in run.subject.sent:
        log.info("%s", line)
    return run


def _readings(asked: list[Layers], on: tuple[int, int] | None) -> list[Layers]:
    """The values of ``--token_prepending``, with those of ``--tp_layers`` in place of ``auto`` and ``on``."""
    if on is None:
        return asked
    if not {"auto", "on"} & set(asked):
        raise BadInput("--tp_layers contradicts --token_prepending, which has neither auto nor on")
    return [on if value in ("auto", "on") else value for value in asked]


def _pick(kind: type[Chosen], args: argparse.Namespace) -> Chosen:
    """A dataclass filled from the arguments that have its fields' names."""
    return kind(**{field.name: getattr(args, field.name) for field in fields(kind)})


def _run(args: argparse.Namespace) -> int:
    if args.dry_run:
        return _plan(args)
    if args.gpu is not None:
        raise BadInput(f"--gpu {args.gpu}: only for --dry_run; a run uses the device that --device names")
    run = _prepared(args)
    outcome = _execute(run, ("encode", "evaluate"))
    code = outcome.exit_code(len(run.tasks))
    if code != EXIT_BAD_INPUT and (run.output_dir / "manifest.json").exists():
        from qzhou_eval.report.write import report

        try:
            report([run.output_dir], args.score_profile, quiet=args.quiet)
        except BadInput as error:  # earlier results in the same folder do not belong to these
            log.warning("the results are written, but no report: %s", error)
    return _ended(run, outcome, code)


def _plan(args: argparse.Namespace) -> int:
    from qzhou_eval.run.dry_run import print_plan
    from qzhou_eval.run.processes import process_pool

    _plan_for(args)
    run = _prepared(args, plans=True)
    with process_pool(run.eval_workers) as pool:
        return print_plan(run, pool, args.gpu, devices=args.workers or 1)


def _plan_for(args: argparse.Namespace) -> None:
    """Let ``--gpu`` decide what ``auto`` means, so that the plan reads the store that this hardware would fill."""
    if args.gpu is None:
        return
    on_cpu = args.gpu == "cpu"
    if args.device != "auto" and on_cpu != (args.device == "cpu"):
        raise BadInput(f"--gpu {args.gpu} contradicts --device {args.device}")
    args.ray = None  # --gpu and --workers say which devices there are
    if on_cpu:
        args.device = "cpu"
    elif args.dtype == "auto":
        args.dtype = "bfloat16"


def _encode(args: argparse.Namespace) -> int:
    return _stage(args, "encode")


def _evaluate(args: argparse.Namespace) -> int:
    return _stage(args, "evaluate")


def _stage(args: argparse.Namespace, stage: str) -> int:
    run = _prepared(args, encodes=stage == "encode")
    outcome = _execute(run, (stage,))
    if stage == "encode" and run.reencode:
        log.info(
            "scores from the earlier vectors stay; to update: evaluate --reevaluate %s", " ".join(sorted(run.reencode))
        )
    return _ended(run, outcome, outcome.exit_code(len(run.tasks)))


def _execute(run: "Run", stages: tuple[str, ...]) -> "Outcome":
    """Run stages in a pool."""
    from qzhou_eval.run.outcome import Outcome
    from qzhou_eval.run.reuse import missing_results

    for variant in {variant.base: variant for variant in run.variants}.values():
        recorded = Manifest(run.output_dir)
        recorded.renew(variant, run.benchmark, label=run.model_label, no_samples=run.no_samples)
    todo = missing_results(run) if "evaluate" in stages else {task.name: run.variants for task in run.tasks}
    if not todo:
        log.info("all %d results are reused", len(run.tasks) * len(run.variants))
        return Outcome(run.output_dir, kept=len(run.tasks) * len(run.variants))
    from qzhou_eval.run.pipeline import execute
    from qzhou_eval.run.processes import process_pool

    with process_pool(run.eval_workers) as pool:
        return execute(run, todo, pool, stages=stages)


def _ended(run: "Run", outcome: "Outcome", code: int) -> int:
    """Repeat at the very end, below the tables, what failed; each failure was logged when it happened."""
    if code == EXIT_FAILED_TASKS:
        reasons = "\n  ".join(outcome.reasons.values())
        log.error(
            "%d of %d tasks failed; what is done is kept; with the cause mended, repeat the command:\n  %s",
            *(len(outcome.failed), len(run.tasks), reasons),
        )
    return code
