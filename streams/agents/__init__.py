"""The three agents of a worker: ``process``, ``learn`` and ``sink``."""
