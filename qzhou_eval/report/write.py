"""Writes the report on results: on the screen, and as files in the first output folder."""

from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.errors import BadInput
from qzhou_eval.report.content.build import contents
from qzhou_eval.report.formats.csv_files import is_sheet, sheets
from qzhou_eval.report.formats.html import page
from qzhou_eval.report.formats.language import words
from qzhou_eval.report.formats.latex import latex
from qzhou_eval.report.formats.text import markdown, on_screen, scores_alone
from qzhou_eval.system.files import write_text


def report(
    output_dirs: list[Path],
    score_profile: str,
    lang: str = "en",
    *,
    benchmark: Benchmark | None = None,
    quiet: bool = False,
) -> None:
    """Print the short tables and write everything to ``report/`` in the first output folder.

    Args:
        benchmark: report this one alone; None for all that the results are of.
        quiet: print only the table of scores.

    Raises:
        BadInput: no results, damaged ones, or a folder that cannot be written.
    """
    found, said = contents(output_dirs, score_profile, benchmark), words(lang)
    files = {"report.html": page(found, said), "report.md": markdown(found, said), "report.tex": latex(found, said)}
    files |= sheets(found, words("en"))
    first = output_dirs[0]
    folder = (first.parent if first.is_file() else first) / "report"
    try:
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.csv"):  # an earlier report's, of tasks or tables that this one lacks
            if old.name not in files and is_sheet(old.name):
                old.unlink()
        for name, text in files.items():
            write_text(folder / name, text)
    except OSError as error:
        raise BadInput(f"{folder}: the report cannot be written there ({error.strerror})") from None
    if quiet:
        print("\n\n".join(scores_alone(found, said)))
        return
    for line in on_screen(found, said):
        print(line)
    print("\n" + said("written") + "\n         ".join(str(folder / name) for name in files))
