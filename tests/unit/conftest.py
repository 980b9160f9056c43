"""What several files of tests take as fixtures."""

import threading
from pathlib import Path

import pytest
from served import Server
from vbdemand_maker import make_miniature


@pytest.fixture(scope="session")
def miniature(tmp_path_factory) -> Path:
    """VoiceBank-DEMAND with 8 utterances."""
    # The name of the folder must not be taken for that of a speaker.
    return make_miniature(tmp_path_factory.mktemp("vbdemand") / "p226" / "corpus")


@pytest.fixture
def server(miniature):
    """The miniature over HTTP, or what a file of tests has under that name."""
    with Server(miniature) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
