"""What is learned and decided: kernels, learners, policies. No Kafka, no I/O on data, no clock."""

from models.kernel_cache import use_cache_of_this_code

use_cache_of_this_code()
