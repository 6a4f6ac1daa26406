"""What must come out the same whatever becomes of the workers: that of the undisturbed processor."""

import signal
from random import Random

import pytest
from delivery.bed import ASK_S, Bed
from delivery.results import assert_same
from kafka import TopicPartition

from schemas.topics import EXAMPLES
from streams.bench.faults.comparison import learner_differences
from streams.bench.faults.log import records_of
from streams.bench.mix import Mix
from streams.lag import committed_offsets


@pytest.mark.each_broker
def test_an_undisturbed_run_equals_the_processor(loaded: Bed) -> None:
    """Broker, batches, merge and transactions add nothing to the pure processor and take nothing away."""
    worker = loaded.start()
    loaded.wait_until_read(worker)
    worker.terminate()
    expected, actual = loaded.results()
    assert_same(expected, actual)
    assert min(map(len, (actual.outcomes, actual.examples, actual.decisions, actual.rows))) > 1000


@pytest.mark.each_broker
def test_kills_change_nothing(loaded: Bed) -> None:
    """A worker that is killed twice, at some moment, leaves what an undisturbed one leaves: weights, too."""
    random = Random(3)
    for share in (random.uniform(0.1, 0.4), random.uniform(0.5, 0.8)):
        worker = loaded.start()
        loaded.wait_for_share(share, worker)
        worker.kill()
    worker = loaded.start()
    loaded.wait_until_read(worker)
    worker.terminate()
    assert_same(*loaded.results())
    assert_learned(loaded)


@pytest.mark.each_broker
def test_a_worker_that_leaves_changes_nothing(shop: Bed, stream: Mix) -> None:
    """Of two workers one is told to stop: the other goes on from its last checkpoint."""
    leaving, staying = shop.start_joined(), shop.start_joined()
    shop.wait_for_share(0.3, leaving, staying, loading=stream)
    leaving.terminate()
    shop.wait_until_read(staying)
    staying.terminate()
    assert_same(*shop.results())


@pytest.mark.each_broker
def test_a_worker_that_dies_beside_another_changes_nothing(shop: Bed, stream: Mix) -> None:
    """Of two workers one is killed: the other takes its partitions over."""
    dying, staying = shop.start_joined(), shop.start_joined()
    shop.wait_for_share(0.3, dying, staying, loading=stream)
    dying.kill()
    shop.wait_until_read(staying)
    staying.terminate()
    assert_same(*shop.results())
    assert_learned(shop)


def test_a_zombie_changes_nothing(shop: Bed, stream: Mix) -> None:
    """A worker that was frozen past its session wakes when another has done its work, and does no harm."""
    zombie, staying = shop.start_joined(), shop.start_joined()
    shop.wait_for_share(0.3, zombie, staying, loading=stream)
    zombie.pause()
    shop.expire(zombie)
    shop.wait_until_read(staying)
    zombie.resume()
    shop.wait_for(lambda: zombie.ended or len(shop.members()) == 4, staying, poll_s=ASK_S)
    if not zombie.ended:
        zombie.send(signal.SIGTERM)
    assert zombie.exit_status() in (0, 1)  # it joins again, or finds itself fenced and ends
    shop.wait_until_read(staying)
    staying.terminate()
    assert_same(*shop.results())


def assert_learned(bed: Bed) -> None:
    """The learner has learned, and its state is that of one which reads `examples` once, in order."""
    place = TopicPartition(EXAMPLES.name, 0)
    learned = bed.ask(lambda admin: committed_offsets(admin, bed.groups[1], [place]))[place]
    examples = records_of(bed.settings.kafka, EXAMPLES)[0]
    assert sum(record.offset < learned for record in examples) > 1000
    assert [] == learner_differences(bed.settings)
