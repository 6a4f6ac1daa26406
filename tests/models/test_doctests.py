import doctest
import pkgutil
from importlib import import_module

import pytest

import models


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(models.__path__)])
def test_examples_in_docstrings_run(name):
    """What a docstring shows is what happens."""
    assert 0 == doctest.testmod(import_module(f"models.{name}")).failed
