"""``--dim``: which dimensions it selects."""

import shutil

import pytest
from commands import run_command

from qzhou_eval import cli
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.dimensions import dimensions
from qzhou_eval.protocol.profile_files import load_profile


def test_dim_all_is_the_profiles_dimensions_that_the_model_has():
    profile = load_profile("qzhou-zh")
    assert dimensions(["all"], profile, 1792) == [128, 256, 512, 768, 1024, 1280, 1536, 1792]
    assert dimensions(["all"], profile, 640) == [128, 256, 512, 640]
    assert dimensions([], profile, 640) == [640]
    assert dimensions(["64", "all", "64"], profile, 200) == [64, 128, 200]
    with pytest.raises(BadInput, match="1793"):
        dimensions(["1793"], profile, 1792)


def test_a_dimension_that_the_model_was_not_trained_for_is_said_in_one_line(tiny, official, finished, tmp_path, caplog):
    qzhou = load_profile("qzhou-zh")
    dimensions(["128", "640", "1792"], qzhou, 1792)
    dimensions(["all", "900"], qzhou, 900)  # the full width
    dimensions(["999"], load_profile("plain"), 1792)  # a profile that lists no dimensions
    assert caplog.messages == [
        "--dim 640: the model was not trained for it; profile qzhou-zh lists 128, 256, 512, 768, 1024, 1280, 1536, 1792"
    ]
    caplog.clear()
    assert cli.main(run_command(tiny, official, shutil.copytree(finished, tmp_path / "copy"))) == 0
    assert sum("was not trained for it" in message for message in caplog.messages) == 1
