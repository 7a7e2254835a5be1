"""Where things are kept, and who may look at them."""

from __future__ import annotations

import os
import stat

import pytest

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths
from cozeloop_magic.local.store import Store

KINDS = [paths.data_dir, paths.cache_dir, paths.runtime_dir]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_of_the_user_s_stays_as_it_is(monkeypatch, tmp_path, kind):
    tmp_path.chmod(0o755)
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tmp_path))
    made = kind()
    assert made.parent == tmp_path and mode(tmp_path) == 0o755 and mode(made) == 0o700
    made.chmod(0o750)
    assert mode(kind()) == 0o750


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_no_directory_is_told_in_a_sentence(monkeypatch, tmp_path, kind):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(file))
    with pytest.raises(LocalLoopError) as caught:
        kind()
    assert str(file) in str(caught.value) and "COZELOOP_MAGIC_HOME" in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_the_prompts_are_for_their_owner_s_eyes(tmp_path):
    Store(tmp_path / "prompts.db").close()
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}
