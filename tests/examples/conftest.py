"""An empty folder to run in."""

import pytest

from cl_strategies.experiment.sweep import executors


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """The current folder; its runs are done in this process, which has imported everything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(executors.EXECUTORS, "process", executors.serial)
    return tmp_path
