"""WordNet's example sentences as text for language models: a miniature of its database, fetched from a server here."""

from pathlib import Path

import pytest
from data_maker import last_line, run
from served import write_listing, write_tar

ARCHIVE = "WNdb-3.0.tar.gz"
LICENCE = '  1 This software and database is being provided to you, "the licensee"  \n'
LINES = {
    "noun": '00001740 03 n 01 talk 0 000 | an exchange; "we had a talk"; "talk | chat"  \n',
    "verb": '00002325 29 v 01 rest 0 000 | be idle; "don\'t rest, please!"; "alone"  \n',
    "adj": "00003131 00 a 01 dark 0 000 | without light  \n",
    "adv": '00001837 02 r 01 well 0 000 | rightly; "we had a talk"  \n',
}


@pytest.fixture
def miniature(tmp_path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    write_tar(folder / ARCHIVE, {f"dict/data.{name}": (LICENCE + line).encode() for name, line in LINES.items()})
    return folder


def test_sentences_of_a_fetched_database_once_each(miniature, server, tmp_path):
    files = write_listing(tmp_path / "files.tsv", miniature, [ARCHIVE])
    got = run("local/wordnet/download.sh", "--files", files, "--url", server.url, tmp_path / "got")
    assert got.returncode == 0, got.stderr
    done = run("local/wordnet/prepare.sh", tmp_path / "got", tmp_path / "new/wordnet.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new/wordnet.txt").read_text() == "WE HAD A TALK\nTALK CHAT\nDON'T REST PLEASE\n"


def test_a_folder_without_the_database_is_named(tmp_path):
    line = last_line(run("local/wordnet/prepare.sh", tmp_path, tmp_path / "text"))
    assert f"{tmp_path}/data.noun: no such file: local/wordnet/download.sh" in line
