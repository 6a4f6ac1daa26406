"""Input that breaks the contract, and what must come of it: a dead letter, and nothing else."""
