"""The report's tables as LaTeX (booktabs): a fragment for a paper."""

import re
from collections.abc import Iterator

from qzhou_eval.report.content.build import Contents
from qzhou_eval.report.content.elements import Cell, Table, TableRow
from qzhou_eval.report.formats.language import Words

HEAD = r"""% Tables for \input. Needs \usepackage[T1]{fontenc}, {textcomp}, {booktabs}, {longtable}, {graphicx}.
% Names or words in Chinese need xelatex and \usepackage{ctex}.
"""
NO_WIDER = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"  # wide tables shrink to the page
LONG_HEADING = 8  # letters
LONG = 20  # rows; more go over several pages
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    **{char: f"{{{char}}}" for char in "[]*"},  # after a line break, LaTeX would read these as an option
} | {char: f"\\{char}" for char in "&%$#_{}"}


def latex(contents: Contents, words: Words) -> str:
    """Every table of every benchmark, with its notes."""
    tables = [table for part in contents.parts for table in part.tables]
    texts = [_table(table, f"tab:{number}", words) for number, table in enumerate(tables, 1)]
    return "\n".join([HEAD, f"% {_escaped(words('title'))}", *texts])


def _escaped(text: str) -> str:
    """Text escaped for LaTeX; control characters, which it cannot read, become spaces."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found[0]], printable)


def _table(table: Table, label: str, words: Words) -> str:
    long = len(table.rows) > LONG
    numbers = [all(row.cells[at].is_number for row in table.rows) for at in range(len(table.columns))]
    align = (r"p{3.4cm}" if table.index == "model" else "l") + "".join("r" if number else "l" for number in numbers)
    head = " & ".join(_heading(words.column(name)) for name in (table.index, *table.columns)) + r" \\"
    caption = rf"\caption{{{_escaped(words.render(table.title))}}}\label{{{label}}}"
    body = "\n".join(line for row in _grouped(table) for line in _lines(row, 1 + len(table.columns), words))
    said = _escaped(" ".join(map(words.render, table.notes)))
    notes = [rf"\par\smallskip {{\scriptsize {said}\par}}"] if said else []
    if long:
        top = rf"\toprule {head} \midrule"
        first = rf"{caption}\\ {top} \endfirsthead {top} \endhead \bottomrule \endlastfoot"
        lines = [r"{\footnotesize\setlength{\tabcolsep}{3pt}", rf"\begin{{longtable}}{{{align}}}", first, body]
        return "\n".join([*lines, r"\end{longtable}", *notes, "}", ""])
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
        caption,
    ]
    lines += [NO_WIDER + rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", *notes, r"\end{table}", ""])


def _heading(name: str) -> str:
    """A column's heading; a long compound word is set on two lines."""
    parts = re.split("(?<=[a-z])(?=[A-Z(])", name, maxsplit=1) if len(name) > LONG_HEADING else [name]
    lines = r" \\ ".join(map(_escaped, parts))
    return rf"\shortstack[r]{{{lines}}}" if len(parts) > 1 else lines


def _grouped(table: Table) -> Iterator[TableRow | str]:
    """The rows, with the group's name before the first row of each group."""
    group = ""
    for row in table.rows:
        if row.group != group:
            group = row.group
            yield group
        yield row


def _lines(row: TableRow | str, columns: int, words: Words) -> Iterator[str]:
    """A row's values, and below them their intervals."""
    if isinstance(row, str):
        yield rf"\addlinespace \multicolumn{{{columns}}}{{l}}{{\textit{{{_escaped(words.column(row))}}}}} \\*"
        return
    bounded = any(cell.bounds is not None for cell in row.cells)
    name = _escaped(words.column(words.render(row.name)))
    yield " & ".join([name, *(_figure(cell, words) for cell in row.cells)]) + (r" \\*" if bounded else r" \\")
    if bounded:
        yield " & ".join(["", *map(_interval, row.cells)]) + r" \\[1pt]"


def _figure(cell: Cell, words: Words) -> str:
    text = _signed(_escaped(words.number(cell)))
    text = rf"\textbf{{{text}}}" if cell.best else text
    return rf"$\approx$\,{text}" if cell.unsure else text


def _interval(cell: Cell) -> str:
    """A cell's interval, small; empty if it has none."""
    if cell.bounds is None:
        return ""
    form = "d" if isinstance(cell.value, int) else "+.2f" if cell.difference else "z.2f"
    low, high = (_signed(format(bound, form)) for bound in cell.bounds)
    return rf"{{\tiny [{low}, {high}]}}" if cell.difference else rf"{{\tiny {low}--{high}}}"


def _signed(number: str) -> str:
    """A minus sign instead of a hyphen."""
    return re.sub(r"^-(?=\d)", r"\\textminus{}", number)
