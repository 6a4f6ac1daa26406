"""What keeps the learners right while they run, measured on streams whose truth is known."""
