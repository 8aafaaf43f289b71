"""`data check` says what would be evaluated: counted here by hand."""

from qzhou_eval import cli


def test_counts_repetitions_overlap_and_lengths_are_said(tmp_path, capsys):
    (tmp_path / "b.yaml").write_text("name: mine\ntasks:\n  kinds: {type: Classification, path: kinds}\n")
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\none,a\ntwo,b\n")
    (folder / "test.csv").write_text("text,label\none,a\nthree,b\nthree,b\nseventeen letters,a\n")
    assert cli.main(["data", "check", str(tmp_path / "b.yaml")]) == 0
    out = capsys.readouterr().out
    heads, _, row = out.splitlines()[:3]
    assert heads.split()[:2] == ["task", "type"]
    cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert cells == ["kinds", "Classification", "4 texts, 2 labels", "3", "1", "1", "5, 17, 17"]


def test_the_written_example_has_nothing_wrong(tmp_path, capsys):
    assert cli.main(["data", "init", str(tmp_path / "shop")]) == 0
    assert cli.main(["data", "check", str(tmp_path / "shop" / "benchmark.yaml")]) == 0
    out = capsys.readouterr().out
    for name in ("Classification", "Clustering", "PairClassification", "Reranking", "Retrieval", "STS"):
        assert f" {name} " in out
