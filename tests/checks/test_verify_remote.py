"""``verify`` against another process: the checkpoint's own code, and a plain sentence-transformers load."""

import pytest
from checkpoints import with_remote_code
from verifying import OK, fitting, marks, quick_profile, verdict, verify

from qzhou_eval.errors import EXIT_BAD_INPUT, EXIT_CHECK_FAILED
from qzhou_eval.model.folder.checkpoint import find_checkpoint


@pytest.fixture
def remote(tiny, tokenizer, tmp_path):
    """A function that gives the unbroken model its own code, which does token prepending up to a layer."""
    placeholder = tokenizer.convert_tokens_to_ids("<|im_start|>")
    return lambda last_layer: with_remote_code(
        tiny, tmp_path / f"remote-{last_layer}", placeholder=placeholder, last_layer=last_layer
    )


@pytest.mark.slow
def test_remote_code_that_does_the_same_is_ok(remote, tmp_path, capsys, caplog):
    model = remote(7)
    assert verify(model, quick_profile(tmp_path), "--against", "remote") == 0
    out = capsys.readouterr().out
    assert marks(out) == OK
    assert fitting(out) == ["TP 1-7"]
    assert verdict(out) == "verdict: OK: the same model with the same input; reading TP 1-7"
    revision = find_checkpoint(str(model)).revision
    said = f"running the checkpoint's own code modeling_prepending.PrependingQwen3, revision {revision}"
    assert [record.getMessage() for record in caplog.records].count(said) == 1


@pytest.mark.slow
def test_remote_code_that_stops_at_layer_6_is_named(remote, tmp_path, capsys):
    assert verify(remote(6), quick_profile(tmp_path), "--against", "remote") == EXIT_CHECK_FAILED
    out = capsys.readouterr().out
    assert marks(out) == OK
    words = "the reading that fits is TP 1-6; the profile's is TP 1-7"
    assert verdict(out) == f"verdict: the weights are the same, but {words}"


@pytest.mark.slow
def test_a_plain_load_runs_without_token_prepending_also_where_code_is_at_hand(remote, tmp_path, capsys):
    model, profile = remote(7), quick_profile(tmp_path)
    assert verify(model, profile, "--against", "sentence-transformers") == EXIT_CHECK_FAILED
    out = capsys.readouterr().out
    assert "other side: a plain sentence-transformers load, which runs without token prepending\n" in out
    assert verdict(out).endswith("the reading that fits is off; the profile's is TP 1-7")


@pytest.mark.slow
def test_code_that_fails_is_one_line(remote, tmp_path, capsys):
    model = remote(7)
    code = model / "modeling_prepending.py"
    code.write_text(code.read_text("utf-8").replace("hidden.clone()", "hidden.twin()"), "utf-8")
    assert verify(model, quick_profile(tmp_path), "--against", "remote") == EXIT_BAD_INPUT
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "failed: AttributeError: 'Tensor' object has no attribute 'twin'" in said[0]
