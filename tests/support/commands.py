"""The real command, as tests type it."""

from pathlib import Path


def run_command(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    """A short run on ``data``, as a user would type it; ``more`` comes last and can override flags."""
    where = ["--data_dir", str(data), "--output_dir", str(output), "--device", "cpu", "--eval_workers", "1"]
    what = ["--tasks", "STSB", "T2Reranking", "--dim", "16", "64", "96", "--dtype", "bfloat16"]
    return ["run", "--model_name_or_path", str(model), "--profile", "qzhou-zh", *where, *what, *more]
