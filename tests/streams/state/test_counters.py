from streams.state.counters import read


def test_counters_are_summed_over_the_newest_checkpoints(checkpointed):
    """Each partition counts by its last checkpoint; what nobody counted is 0."""
    totals = read(checkpointed)
    assert (4, 4, 0) == (totals["events"], totals["views"], totals["clicks"])
