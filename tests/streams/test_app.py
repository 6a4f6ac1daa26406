"""What our Faust apps have otherwise than Faust's defaults."""

from streams.app import METADATA_MAX_AGE_MS, new_app
from streams.settings import Settings


def test_a_topic_that_was_left_out_is_soon_found() -> None:
    """Whoever leads a group looks at the topics again within seconds, not within Faust's five minutes."""
    conf = new_app(Settings(), "learn", "unused").conf
    assert METADATA_MAX_AGE_MS == conf.consumer_metadata_max_age_ms
    assert METADATA_MAX_AGE_MS <= 10_000
