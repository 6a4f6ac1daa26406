"""``headrace bench faults``: a job that is killed and cut off must come to what the processor comes to."""
