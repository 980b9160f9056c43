"""A hook of mkdocs: links of the pages to files outside docs/ point to the repository's own pages.

README.md, CONTRIBUTING.md, RESULTS.md and CHANGELOG.md become pages of the site, so that it is complete on a disk.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = {name: f"{name.lower()}_.md" for name in ("README", "CONTRIBUTING", "RESULTS", "CHANGELOG")}


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        if (ROOT / f"{name}.md").exists():
            files.append(
                File.generated(config, page, content=inside((ROOT / f"{name}.md").read_text(encoding="utf-8")))
            )
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    for name, target in PAGES.items():
        markdown = markdown.replace(f"](../{name}.md", f"]({target}")
    return re.sub(r"\[([^\]\n]+)\]\(\.\./[^)]+\)", r"\1", markdown)  # files of the repository: their name alone


def inside(text: str) -> str:
    """A page from above docs/: its links, seen from there."""
    text = re.sub(r"(\]\(|src=\"|srcset=\")docs/", r"\1", text)
    for name, page in PAGES.items():
        text = text.replace(f"]({name}.md", f"]({page}")
    return re.sub(r"\[([^\]\n]+)\]\((?!https?:|#|[\w/]+\.(?:md|svg))[^)]+\)", r"\1", text)
