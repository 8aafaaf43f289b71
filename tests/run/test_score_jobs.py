"""The order in which tasks are encoded, and how their dimensions are divided among processes."""

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.run.pipeline import in_turn
from qzhou_eval.run.score_jobs import parts


def test_every_dimension_is_in_one_part():
    classification, sts = packaged_tasks()["TNews"], packaged_tasks()["STSB"]
    dims = [128, 256, 512]
    assert parts(classification, dims, 2) == [[128, 512], [256]]
    assert parts(classification, dims, 8) == [[128], [256], [512]]
    assert parts(classification, dims, 1) == parts(sts, dims, 8) == [dims]


def test_what_one_process_scores_longest_is_encoded_before_the_rest():
    sizes = {"T2Retrieval": 300, "AFQMC": 2, "TNews": 4, "CLSClusteringP2P": 9, "MMarcoRetrieval": 40}
    sources = {name: DataSource(None, "", size=size) for name, size in sizes.items()}
    order = [task.name for task in in_turn([packaged_tasks()[name] for name in sizes], sources)]
    assert order == ["TNews", "CLSClusteringP2P", "T2Retrieval", "MMarcoRetrieval", "AFQMC"]
