"""``python -m streams`` is the command ``headrace``."""

from streams.cli import main

main(prog_name="headrace")
