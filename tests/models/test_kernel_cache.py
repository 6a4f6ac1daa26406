import shutil

import pytest
from numba import config

from models import kernel_cache
from models.kernel_cache import PREFIX, ROOT, SOURCES, fingerprint, use_cache_of_this_code


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the sources of all kernels, which is taken for this code; Numba has no folder yet."""
    for pattern in SOURCES:
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    monkeypatch.setattr(kernel_cache, "ROOT", tmp_path)
    monkeypatch.setattr(kernel_cache, "__file__", str(tmp_path / "models" / "kernel_cache.py"))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    return tmp_path


def test_a_copy_of_the_code_has_its_fingerprint(copy, monkeypatch):
    """It goes by content: neither where the sources are nor when they were written matters."""
    (copy / "models" / "hashing.py").touch()
    copied = fingerprint()
    monkeypatch.setattr(kernel_cache, "ROOT", ROOT)
    assert copied == fingerprint()


@pytest.mark.parametrize(
    "name",
    ["models/hashing.py", "streams/routing.py", "streams/processor/tape.py", "streams/state/books.py"],
)
def test_a_changed_source_changes_the_fingerprint(copy, name):
    """Of any folder that kernels are in; and once the change is taken back, it is the one that it was."""
    before, content = fingerprint(), (copy / name).read_bytes()
    (copy / name).write_bytes(content + b"\n")
    assert before != fingerprint()
    (copy / name).write_bytes(content)
    assert before == fingerprint()


def test_a_new_source_changes_the_fingerprint(copy):
    """A module that was added may be one that kernels take functions from."""
    before = fingerprint()
    (copy / "streams" / "state" / "another.py").write_text("NUMBER = 1\n")
    assert before != fingerprint()


def test_each_state_of_the_code_has_a_folder_of_its_own(copy):
    """Kernels of older code are removed, and nothing else is."""
    folder = copy / "models" / "__pycache__"
    own = folder / f"{PREFIX}{fingerprint()}"
    for path in (own, folder / f"{PREFIX}older", folder / f"{PREFIX}oldest", folder / "others"):
        (path / "deeper").mkdir(parents=True)
        (path / "deeper" / "kernel.nbi").touch()
    (folder / "hashing.pyc").touch()
    use_cache_of_this_code()
    assert str(own) == config.CACHE_DIR
    assert {own.name, "others", "hashing.pyc"} == {path.name for path in folder.iterdir()}
    assert (own / "deeper" / "kernel.nbi").exists()


def test_whoever_names_a_folder_has_their_way(copy, monkeypatch):
    """``NUMBA_CACHE_DIR`` has a folder for each state of the code, too: it may outlive a release."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/elsewhere")
    monkeypatch.setattr(config, "CACHE_DIR", "/elsewhere")
    older = copy / "models" / "__pycache__" / f"{PREFIX}older"
    older.mkdir(parents=True)
    use_cache_of_this_code()
    assert f"/elsewhere/{PREFIX}{fingerprint()}" == config.CACHE_DIR
    assert older.exists()


def test_code_that_may_not_be_written_to_has_its_kernels_in_the_users_cache(copy, monkeypatch):
    """Apart for each state of the code, as everywhere."""
    (copy / "models" / "__pycache__").touch()  # no folder can be made there
    monkeypatch.setenv("XDG_CACHE_HOME", "/users/cache")
    use_cache_of_this_code()
    assert f"/users/cache/headrace/{PREFIX}{fingerprint()}" == config.CACHE_DIR


def test_a_folder_that_is_not_there_is_no_error(copy):
    """Nothing has been compiled yet."""
    use_cache_of_this_code()
    assert str(copy / "models" / "__pycache__" / f"{PREFIX}{fingerprint()}") == config.CACHE_DIR
