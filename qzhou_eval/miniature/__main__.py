"""Runs a complete evaluation in miniature: ``python -m qzhou_eval.miniature [--output_dir D]``.

Tasks of all six types, a tiny trained checkpoint, all eight dimensions, token prepending on and
off, and a character n-gram baseline. Ends with the same tables as a full run.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from qzhou_eval.benchmark.packaged import miniature
from qzhou_eval.cli import EXIT_FAILED_TASKS, guarded, set_up_logging
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.prepare import Run, prepare_run
from qzhou_eval.run.processes import process_pool
from qzhou_eval.run.reuse import missing_results

CHECKPOINT = Path(__file__).parent / "mini-qwen3"
OUTPUT = Path("results") / "miniature"

log = logging.getLogger("qzhou_eval.miniature")


def config(output_dir: Path) -> RunConfig:
    """All tasks at all dimensions, with the packaged checkpoint and its profile."""
    return RunConfig(
        model_name_or_path=str(CHECKPOINT),
        output_dir=output_dir,
        profile="qzhou-zh-mini",
        benchmark=miniature().name,
        dim=["all"],
        options=EncoderOptions(device="cpu", dtype="float32"),
    )


def runs(output_dir: Path) -> dict[str, Run]:
    """The two runs of the miniature: the checkpoint, with and without TP, and the n-gram baseline."""
    run = prepare_run(replace(config(output_dir), also_token_prepending=("off",)))
    return {"TP on and off": run, "character n-grams": ngram_run(run)}


def ngram_run(like: Run) -> Run:
    """The character n-gram baseline over the same tasks: plain texts, 256 components."""
    from qzhou_eval.encode.char_ngrams import CharNgram, variant
    from qzhou_eval.run.subjects.own_encoder import subject_of

    encoder = CharNgram()
    return replace(like, use_instruction=False, subject=subject_of(encoder, load_profile("plain"), [variant()]))


def main() -> int:
    """Run the miniature and print its tables."""
    parser = argparse.ArgumentParser(prog="python -m qzhou_eval.miniature", description="Run the packaged miniature.")
    parser.add_argument("--output_dir", type=Path, default=OUTPUT, help="results; default: %(default)s")
    parser.add_argument("--quiet", action="store_true", help="print only warnings, and the table of scores at the end")
    args = parser.parse_args()
    set_up_logging(quiet=args.quiet)
    return guarded(lambda: _run(args.output_dir, quiet=args.quiet))


def _run(output_dir: Path, *, quiet: bool) -> int:
    failed = _execute(output_dir)
    from qzhou_eval.report.write import report

    report([output_dir], "card", quiet=quiet)
    return EXIT_FAILED_TASKS if failed else 0


def _execute(output_dir: Path) -> bool:
    prepared = runs(output_dir)
    todo = {name: missing_results(run) for name, run in prepared.items()}
    if not any(todo.values()):
        log.info("all results of the miniature are reused from %s", output_dir)
        return False
    from qzhou_eval.run.pipeline import execute

    failed = False
    with process_pool() as pool:
        for name in [name for name in prepared if todo[name]]:
            log.info("\n%s\n%s", name, "\n".join(prepared[name].subject.sent))
            failed |= bool(execute(prepared[name], todo[name], pool).failed)
    return failed


if __name__ == "__main__":
    sys.exit(main())
