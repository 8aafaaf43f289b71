"""Right or wrong at the best threshold, compared with mteb's own accuracy."""

import numpy as np
import pytest
from mteb.abstasks import AbsTaskPairClassification

from qzhou_eval.evaluate.pair_threshold import right_at_best_threshold


def mtebs(similarity, label) -> tuple[float, float]:
    """mteb's best accuracy and the threshold it chooses."""
    return AbsTaskPairClassification._find_best_acc_and_threshold(None, list(similarity), np.asarray(label), True)


@pytest.mark.parametrize("digits", [0, 1, 6])  # with few digits many similarities are equal
@pytest.mark.parametrize("seed", range(20))
def test_the_share_that_is_right_is_mtebs_accuracy_at_its_threshold(digits, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, 40)
    similarity = (label + rng.standard_normal(40)).round(digits)
    accuracy, threshold = mtebs(similarity, label)
    right = right_at_best_threshold(similarity, label)
    assert right.mean() == pytest.approx(accuracy)
    np.testing.assert_array_equal(right, (similarity > threshold) == label)


@pytest.mark.parametrize(
    ("similarity", "label"), [([1, 1, 1], [1, 0, 1]), ([3, 2, 1], [1, 1, 1]), ([3, 2, 1], [0, 0, 0]), ([1, 2], [1, 0])]
)
def test_edges(similarity, label):
    assert right_at_best_threshold(np.array(similarity), np.array(label)).mean() == mtebs(similarity, label)[0]
