"""The report's files: one self-contained page in which no string becomes markup, and the same figures in all files."""

import csv
import re
import shutil
import string
from itertools import chain

import pytest
from markdown_it import MarkdownIt
from reporting import Page, write_results

from qzhou_eval import cli
from qzhou_eval.report.content.build import contents
from qzhou_eval.report.formats.language import LANGUAGES, MISSING, words

ATTACK = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>{{ 7 * 7 }}$x^2_&%#~\\input{x}"
FILES = ("report.html", "report.md", "report.tex")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def written(folder):
    return report(folder)


def report(folder, *more) -> dict[str, str]:
    """Make the report and return its files by name."""
    assert cli.main(["report", str(folder), *more]) == 0
    return {path.name: path.read_text("utf-8") for path in (folder / "report").iterdir()}


@pytest.fixture(scope="module")
def part(folder):
    (found,) = contents([folder], "card").parts
    return found


def figures(table) -> list[list[str]]:
    """A table's numbers as every file must show them."""
    said = words("en")
    return [[said.number(cell) for cell in row.cells] for row in table.rows]


def numbers(cells) -> list[str]:
    """Cells without marks: only the number, with a plain minus."""
    return [re.sub(r"[≈* ]|\(.*|\$.*?\$|\\,", "", cell.replace("\N{MINUS SIGN}", "-")) for cell in cells]


def test_the_page_is_whole_and_has_every_tables_figures(written, part):
    page = Page(written["report.html"])
    found = dict(page.tables)
    for table in part.tables:
        if table.key == "tasks" and len(table.columns) == 1:
            continue
        rows = [row for row in found[words("en").render(table.title)][1:] if len(row) > 1]
        assert [numbers(row[1:]) for row in rows] == figures(table), table.key


def test_markdown_and_latex_have_the_same_figures(written, part):
    for table in part.tables:
        title = words("en").render(table.title)
        after = written["report.md"].split(f"## {title}\n")[1]
        lines = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)[0].splitlines()[2:]
        skip = 3 if any(row.group for row in table.rows) else 2
        assert [numbers(line.split("|")[skip:-1]) for line in lines] == figures(table)
        body = written["report.tex"].split(rf"\caption{{{title.replace('_', chr(92) + '_')}}}")[1]
        body = body.split("\\end{tabular}")[0].split("\\end{longtable}")[0]
        rows = [line.split("&")[1:] for line in body.splitlines() if "&" in line and not line.startswith(" &")][
            -len(table.rows) :
        ]
        plain = [
            [re.sub(r"\\textbf\{(.*)\}|\\\\.*", r"\1", cell.replace(r"\textminus{}", "-")) for cell in row]
            for row in rows
        ]
        assert [numbers(row) for row in plain] == figures(table)


def test_csv_files_have_the_same_figures_with_bounds(written, part):
    for key in dict.fromkeys(table.key for table in part.tables):
        rows = list(csv.DictReader(written[f"mini_{key}.csv"].splitlines()))
        expected = [(row, table) for table in part.of(key) for row in table.rows]
        expected.sort(key=lambda pair: [t.model for t in part.tables if t.key == key].index(pair[1].model))
        assert len(rows) == len(expected)
        for found, (row, table) in zip(rows, expected, strict=True):
            for column, cell in zip(table.columns, row.cells, strict=True):
                bounds = [found.get(f"{column}{end}", "") for end in ("", " low", " high")]
                assert [float(b) if b else None for b in bounds] == pytest.approx(
                    [cell.value, *(cell.bounds or (None, None))], abs=6e-5
                )


def test_best_groups_are_bold_in_every_file(written, part):
    best = [words("en").number(c) for t in part.tables for row in t.rows for c in row.cells if c.best]
    assert len(best) > 20
    assert sorted(numbers(Page(written["report.html"]).bold)) == sorted(best)
    assert sorted(re.findall(r"\| *\*\*([\d.]+)\*\*", written["report.md"])) == sorted(best)
    assert sorted(re.findall(r"\\textbf\{([\d.]+)\}", written["report.tex"])) == sorted(best)


def test_the_page_asks_for_nothing(written):
    text = written["report.html"]
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "img", "base", "form", "foreignobject"}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert attributes.get(name, "#").startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?(.)", text))
    assert "@import" not in text and "<?xml" not in text and "<!DOCTYPE svg" not in text
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_figures_are_text_in_the_pages_font_and_colours_with_ids_of_their_own(written):
    text = written["report.html"]
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = re.findall(r'(?:url\(|href=")#([^")]+)', text)
    assert set(links) <= set(ids)
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 8 + 7  # curves of the card's eight columns; token prepending for six types and overall
    for one in drawings:
        assert "<text" in one and "font-family" not in one
        assert not re.findall(r"#[0-9a-f]{6}", one)  # colours come from the page's variables
    labels = [a for tag, a in page.elements if tag == "figure"]
    assert all(a["role"] == "img" and a["aria-label"] for a in labels)
    variables = set(re.findall(r"var\((--[a-z0-9-]+)\)", text))
    assert variables - {"--share"} <= set(re.findall(r"(--[a-z0-9-]+):", text))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_results_say_is_never_live(tmp_path, lang):
    """A model's name, revision, prompts and anything else in results from others."""
    write_results(
        tmp_path, model=ATTACK.replace("/", "|"), revision="r" + ATTACK.replace("/", "|"), prompt=ATTACK, dtype=ATTACK
    )
    found = report(tmp_path, "--lang", lang)
    page = Page(found["report.html"])
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "javascript:" not in found["report.html"]
    assert ATTACK in page.text and "49" not in page.text.split(ATTACK)[1][:200]
    rendered = Page(MarkdownIt("commonmark").enable("table").render(found["report.md"]))
    assert not {"script", "img", "a"} & {tag for tag, _ in rendered.elements}
    assert ATTACK in rendered.text and found["report.md"].count("\n# ") == 0
    tex = found["report.tex"].split("\n\n", 1)[1]  # without its comments
    assert "\\input" not in tex
    unescaped = re.sub(r"\\[&%$#_{}]|\$\\(approx|times)\$|^% .*", "", tex, flags=re.MULTILINE)
    assert not set("%$#^~") & set(unescaped)


def test_the_prompt_is_shown_as_it_was_sent(tmp_path):
    prompt = "\n  This sentence: <|im_start|>“{text}”\n\n means\tin one word: “"
    write_results(tmp_path, prompt=prompt)
    text = report(tmp_path)["report.html"]
    shown = re.findall(r"<pre>\n(.*?)</pre>", text, re.DOTALL)
    assert shown and all(one.replace("&lt;", "<").replace("&gt;", ">") == prompt for one in shown)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_reports_of_the_same_results_are_the_same_bytes(folder, lang):
    assert report(folder, "--lang", lang) == report(folder, "--lang", lang)


def test_every_language_has_the_same_words_with_the_same_places(folder):
    english, *others = (words(lang).texts for lang in LANGUAGES)
    for other in others:
        assert {k for k in english if not k.startswith("column.")} == {k for k in other if not k.startswith("column.")}
        for key in english.keys() & other.keys():
            assert places(english[key]) == places(other[key]), key
    assert all(isinstance(text, str) for text in chain(english.values(), *(o.values() for o in others)))


def places(text: str) -> set[tuple]:
    return {(name, form) for _, name, form, _ in string.Formatter().parse(text) if name}


def test_chinese_labels_in_every_file_but_the_sheets(folder, capsys):
    english, found = report(folder), report(folder, "--lang", "zh")
    assert "类型均值" in capsys.readouterr().out
    assert '<html lang="zh-CN">' in found["report.html"] and '<html lang="en">' in english["report.html"]
    for name in FILES:
        assert "类型均值" in found[name] and "Mean(TaskType)" not in found[name]
        assert not re.search("[\u4e00-\u9fff]", english[name])
    assert {n: t for n, t in found.items() if n not in FILES} == {n: t for n, t in english.items() if n not in FILES}


def test_the_screen_ends_with_the_findings_in_words(folder, capsys):
    report(folder)
    out = capsys.readouterr().out
    assert "How good is it?" in out and "Significantly better on 5 tasks, worse on 0; not significant on 1." in out


def test_a_result_without_items_has_a_dash_nowhere_and_a_note(tmp_path):
    found = report(write_results(tmp_path, items=False))
    assert "No per-item data were kept" in found["report.html"]
    assert MISSING not in {cell for _, rows in Page(found["report.html"]).tables[:1] for row in rows for cell in row}
    assert "low" not in found["mini_leaderboard.csv"].splitlines()[0]


def test_sheets_of_an_earlier_report_go_and_other_files_stay(tmp_path):
    write_results(tmp_path)
    assert cli.main(["report", str(tmp_path)]) == 0
    mine = tmp_path / "report" / "mine.csv"
    mine.write_text("a,b\n")
    old = {path.name for path in (tmp_path / "report").glob("*.csv")}
    for place in tmp_path.iterdir():
        if place.name != "report":
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    write_results(tmp_path, tps=[True])
    assert cli.main(["report", str(tmp_path)]) == 0
    new = {path.name for path in (tmp_path / "report").glob("*.csv")}
    assert "mine.csv" in new and "mini_leaderboard.csv" in new
    gone = {"mini_token_prepending.csv", "mini_token_prepending_dims.csv", "mini_token_prepending_tasks.csv"}
    assert old - new == gone
