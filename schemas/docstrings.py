"""What the source says about a struct's fields: the docstrings below them, which Python itself forgets."""

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise
from types import ModuleType

from msgspec import Struct


def field_docs(struct: type[Struct]) -> dict[str, str]:
    """The docstring of each field, inherited ones too, and that of its type's alias; absent without either.

    >>> from schemas.events import Slot
    >>> field_docs(Slot)["kind"]
    'What may stand there.'
    >>> field_docs(Slot)["slot_id"]
    'Name of the place, for example ``home-top``. An identifier, never empty: 1 to 64 characters.'
    """
    docs: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, Struct) and base.__module__ != Struct.__module__:
            docs |= _own_docs(base)
    return docs


def class_doc(struct: type[Struct]) -> str:
    """The docstring of a struct as plain paragraphs."""
    return inspect.getdoc(struct) or ""


@cache
def _own_docs(struct: type[Struct]) -> dict[str, str]:
    module = sys.modules[struct.__module__]
    body = next(
        node.body
        for node in _tree(module).body
        if isinstance(node, ast.ClassDef) and node.name == struct.__name__
    )
    own = _attribute_docs(body)
    aliases = _alias_docs(module)
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            parts = own.get(name), aliases.get(ast.unparse(node.annotation))
            if text := " ".join(part for part in parts if part):
                found[name] = text
    return found


@cache
def _alias_docs(module: ModuleType) -> dict[str, str]:
    """Docstrings of a module's names, and of those that it imports by name from its own package."""
    tree = _tree(module)
    docs: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(__package__ or "?"):
            origin = _attribute_docs(_tree(sys.modules[str(node.module)]).body)
            docs |= {name.name: origin[name.name] for name in node.names if name.name in origin}
    return docs | _attribute_docs(tree.body)


def _attribute_docs(body: list[ast.stmt]) -> dict[str, str]:
    """The string that stands right below an assignment, by the assigned name."""
    docs = {}
    for node, below in pairwise(body):
        match node, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = " ".join(text.split())
            case _:
                pass
    return docs


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))
