"""``headrace bench recovery``: how soon a worker knows again what it knew, and at what memory."""
