import pytest

from streams.delivery.restore import MissingTopicError
from streams.settings import Kafka
from streams.state.lookup import find_profile, user_key


def test_a_profile_is_found_as_of_the_newest_checkpoint(checkpointed):
    """The user's row is the last that was committed; an unknown user has none."""
    profile = find_profile(checkpointed.kafka, "main", "u1")
    assert (user_key("main", "u1"), 2) == (profile["key"], profile["views"])
    assert find_profile(checkpointed.kafka, "main", "nobody") is None


def test_without_a_changelog_the_way_out_is_named(fresh_broker):
    """Before ``headrace init`` there is nothing to look in: the error says what to run."""
    with pytest.raises(MissingTopicError, match="run `headrace init` first"):
        find_profile(Kafka(bootstrap_servers=fresh_broker), "main", "u1")
