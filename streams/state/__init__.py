"""What a worker remembers of its partitions, in rows of fixed size, and how those rows travel."""
