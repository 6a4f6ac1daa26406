"""Adoption: events of another system's topics, mapped to the contract as they are decoded.

From a sample to a running worker: ``sampling.py``, ``inference.py``, ``proposal.py``, a person, ``trial.py``,
``inputs.py``. The walk-through is in ``README.md`` beside this file.
"""
