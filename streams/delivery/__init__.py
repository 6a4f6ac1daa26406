"""Exactly once between Kafka and the processor: batches in, transactions out, one owner a partition.

ARCHITECTURE.md, section Delivery, says what is promised and what happens at each failure.
"""
