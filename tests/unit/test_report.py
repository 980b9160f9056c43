"""The HTML report: what is in it, that it stands alone, and that nothing has to be there."""

# ruff: noqa: F811 (fixtures)

import filecmp
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from report_maker import PESQ, TEXT, UTTS, Page, exp, tone, tree_at, write_json, write_scores, write_tree  # noqa: F401 (a fixture)

from mimic.reporting.build import build

ODD = UTTS.index("p1-<b>&'q\"")


@pytest.fixture(scope="module")
def report(exp) -> Path:
    build([tree_at(exp)], exp / "report", 1, [UTTS[ODD]])
    return exp / "report"


def page_of(report: Path, utt: str) -> Page:
    return Page(report / f"utt/{UTTS.index(utt) + 1}.html")


def test_stands_alone(report, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(report, moved)
    pages = [moved / "index.html", *moved.glob("utt/*.html")]
    assert len(pages) == 1 + len(UTTS)
    for path in pages:
        page = Page(path)
        names = {a["id"] for _, a in page.tags if a.get("id")}
        for tag, attributes in page.tags:
            for name in ("href", "src", "xlink:href"):
                link = attributes.get(name)
                if link is None or link == "data:,":
                    continue
                target, _, anchor = link.partition("#")
                assert ":" not in target and not target.startswith("/"), (path, tag, link)
                assert not target or (path.parent / unquote(target)).is_file(), (path, tag, link)
                assert target or anchor in names, (path, tag, link)


def test_same_tree_same_bytes(exp, report, tmp_path):
    build([tree_at(exp)], tmp_path / "again", 1, [UTTS[ODD]])
    names = [str(p.relative_to(report)) for p in report.rglob("*") if p.is_file()]
    assert len(names) > 20
    assert filecmp.cmpfiles(report, tmp_path / "again", names, shallow=False) == (names, [], [])


def test_ids_and_texts_are_escaped(report):
    index, page = Page(report / "index.html"), page_of(report, UTTS[ODD])
    for shown in (index, page):
        assert UTTS[ODD] in shown.text
        assert not shown.all("b") and not shown.all("unk") and not shown.all("silent") and not shown.all("x")
    assert TEXT in page.text and "the audio is <silent> & short" in index.text and "rock & roll" in index.text
    assert any(a.get("aria-label", "").startswith(UTTS[ODD]) for a in index.all("a"))


def test_readable_by_machines(report):
    for path in (report / "index.html", report / f"utt/{ODD + 1}.html"):
        page = Page(path)
        assert len(page.all("h1")) == 1 and page.all("html")[0]["lang"] == "en" and len(page.all("main")) == 1
        assert all("scope" in th for th in page.all("th"))
        assert len(page.all("table")) == len(page.all("caption"))
        assert page.all("svg") and all(svg["aria-label"] and svg["role"] in ("img", "group") for svg in page.all("svg"))
        assert all(player["aria-label"] for player in page.all("audio"))
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids))
        labelled = {i for _, a in page.tags for i in (a.get("aria-labelledby") or "").split()}
        assert labelled <= set(ids)


def test_page_of_an_utterance(report):
    page = page_of(report, UTTS[ODD])  # an odd place: with errors
    sources = [a["src"] for a in page.all("audio")]
    assert [re.sub(r".*-|\.wav", "", s) for s in sources] == ["clean", "noisy", "mse", "mimic"]
    assert [a["href"][-9:] for a in page.all("image")].count("gain.webp") == 2 and len(page.all("image")) == 6
    text = " ".join(page.text.split())
    assert "GO left out: <UNK> & STOP added: NOW" in text and "NO for GO <UNK> & STOP" in text
    assert "GO <UNK> left out: & STOP" in text
    plain = page_of(report, next(u for u in UTTS if f'utt/{UTTS.index(u) + 1}.html">' not in listen(report)))
    assert not plain.all("audio") and "kept for picked utterances only" in plain.text


def listen(report: Path) -> str:
    return (report / "index.html").read_text().split('id="h-listen"')[1].split("</section>")[0]
