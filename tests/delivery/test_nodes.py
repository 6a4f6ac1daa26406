"""What becomes of the work when nodes of a replicated cluster fail: nothing."""

import pytest
from delivery.bed import ASK_S, Bed, Worker
from delivery.results import assert_same

from schemas.topics import INPUTS
from streams.embedded.kafka import Cluster
from streams.lag import end_offsets

pytestmark = pytest.mark.xdist_group("nodes")  # one cluster for all
WENT_ON = 1000
"""Events after which the work is taken to go on: more than was under way when a node failed."""


def test_a_node_that_dies_changes_nothing(fresh_cluster: Cluster, replicated: Bed) -> None:
    """Leaders and coordinators move under the worker, which goes on before the node is back."""
    worker = replicated.start()
    replicated.wait_for_share(0.1, worker)
    fresh_cluster.nodes[0].kill()
    wait_until_it_goes_on(replicated, worker)
    fresh_cluster.nodes[0].start()
    replicated.wait_until_read(worker)
    worker.terminate()
    assert_same(*replicated.results())


def test_a_node_that_freezes_changes_nothing(fresh_cluster: Cluster, replicated: Bed) -> None:
    """Its connections stay open and nobody answers: the worker waits, or ends and the next one goes on."""
    worker = replicated.start()
    replicated.wait_for_share(0.1, worker)
    fresh_cluster.nodes[0].pause()
    worker = wait_until_somebody_goes_on(replicated, worker)
    fresh_cluster.nodes[0].resume()
    replicated.wait_until_read(worker)
    worker.terminate()
    assert_same(*replicated.results())


def test_all_nodes_restarted_change_nothing(fresh_cluster: Cluster, replicated: Bed) -> None:
    """A power cut takes the whole cluster: the worker waits for it, or ends and the next one goes on."""
    worker = replicated.start()
    replicated.wait_for_share(0.1, worker)
    fresh_cluster.kill()
    fresh_cluster.start()
    worker = wait_until_somebody_goes_on(replicated, worker)
    replicated.wait_until_read(worker)
    worker.terminate()
    assert_same(*replicated.results())


def wait_until_it_goes_on(bed: Bed, worker: Worker) -> None:
    """Wait until more is committed, by this worker, which must live."""
    enough = min(bed.committed() + WENT_ON, sum(bed.ask(lambda admin: end_offsets(admin, INPUTS)).values()))
    bed.wait_for(lambda: bed.committed() >= enough, worker, poll_s=ASK_S)


def wait_until_somebody_goes_on(bed: Bed, worker: Worker) -> Worker:
    """Wait until more is committed, by this worker or, where it ended with status 1, by a new one."""
    enough = min(bed.committed() + WENT_ON, sum(bed.ask(lambda admin: end_offsets(admin, INPUTS)).values()))
    bed.wait_for(lambda: bed.committed() >= enough or worker.ended, poll_s=ASK_S)
    if worker.ended:
        assert 1 == worker.exit_status()
        worker = bed.start()
    return worker
