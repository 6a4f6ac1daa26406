"""The commands of ``headrace``, one module each; ``streams.cli`` names them."""
