"""The queue from which a cluster's workers take their units of work."""

from qzhou_eval.encode.cluster.work_queue import Queue
from qzhou_eval.model.batching.batches import PACKED, plan


def test_units_are_whole_batches_shrink_towards_the_end_and_a_deadly_batch_goes_alone_then_aside():
    lengths = [7 + n % 50 for n in range(3000)]
    batches = list(plan(lengths, 256, PACKED))
    queue, taken = Queue(batches, workers=2), []
    while queue:
        taken.append(queue.take())
    assert [batch.rows for unit in taken for batch in unit] == batches
    sizes = [len(unit) for unit in taken]
    assert sizes[0] == 8 and sizes[-1] == 1 and sizes == sorted(sizes, reverse=True)
    for unit in taken:  # a worker plans its own unit and gets the same batches
        rows = [row for batch in unit for row in batch.rows]
        again = [[rows[i] for i in some] for some in plan([lengths[row] for row in rows], 256, PACKED)]
        assert again == [batch.rows for batch in unit]
    queue.give_back(taken[0], died_of_it=True)
    queue.give_back(taken[1])
    again = []
    while queue:
        again.append(queue.take())
    assert [batch for unit in again for batch in unit] == taken[1] + taken[0]
    assert all(len(unit) == 1 for unit in again if unit[0].deaths)
    queue.give_back([taken[0][3]], died_of_it=True)
    assert not queue
    assert [batch.rows for batch in queue.set_aside] == [batches[3]]
