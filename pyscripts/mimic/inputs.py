"""Settings that are paths which are read: what has to be there, and the step that makes it.

train: Annotated[str, Input("steps/make_feats.sh", ("feats.scp",))] = ""
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from mimic.errors import UserError
from mimic.settings import hints


@dataclass(frozen=True)
class Input:
    """A path that is read.

    Attributes:
        maker: the step that makes it.
        holds: files of which a directory there has one; none: anything that is there will do.
        file: a plain file will do, too.
        needed: training is impossible without it.
        several: several paths with blanks between them may be given.
    """

    maker: str
    holds: tuple[str, ...] = ()
    file: bool = False
    needed: bool = False
    several: bool = False


_MODEL = ("model.pt", "model.safetensors")
_DATA = "local/import_corpus.sh or local/NAME/prepare.sh"

DataDir = Annotated[str, Input(_DATA, ("wav.scp",), needed=True)]
CleanDir = Annotated[str, Input(_DATA, ("wav.scp",))]
Features = Annotated[str, Input("steps/make_feats.sh", ("feats.scp",), needed=True)]
ProbedFeatures = Annotated[str, Input("steps/extract_ssl.sh", ("feats.scp",), needed=True)]
TeacherStates = Annotated[str, Input("steps/extract_ssl.sh", ("feats.scp",))]
SpeakerFeatures = Annotated[str, Input("steps/make_fmllr_feats.sh", ("feats.scp",), needed=True, several=True)]
Alignments = Annotated[str, Input("steps/align_fmllr.sh", ("ali.1.gz",), needed=True)]
Tree = Annotated[str, Input("steps/build_tree.sh", ("final.mdl",), needed=True)]
KmeansTargets = Annotated[str, Input("steps/apply_kmeans.sh", ("units.scp",), needed=True)]
Labels = Annotated[str, Input("write `utterance class` lines", file=True)]
Text = Annotated[str, Input(f"{_DATA}; a file of sentences will do", ("text", "text.phn"), file=True, needed=True)]
Noises = Annotated[str, Input("give a folder of recordings or a data directory")]
Rirs = Annotated[str, Input("local/simulate_rirs.sh")]
Options = Annotated[str, Input("conf/stft.conf is one", file=True)]
Tokens = Annotated[str, Input("steps/train.sh conf/asr.yaml", ("tokens.txt",))]
Recogniser = Annotated[str, Input("steps/train.sh conf/asr.yaml", _MODEL)]
Enhancer = Annotated[str, Input("steps/train.sh conf/enhance.yaml", _MODEL, needed=True)]
InitialEnhancer = Annotated[str, Input("steps/train.sh conf/enhance.yaml", _MODEL)]
LanguageModel = Annotated[str, Input("steps/train.sh conf/lm.yaml", _MODEL)]
Perceptual = Annotated[str, Input("steps/train.sh conf/perceptual.yaml", (*_MODEL, "config.json"), file=True)]
Teacher = Annotated[str, Input("local/run_pretrain_ssl.sh", ("config.json",), file=True, needed=True)]
InitialEncoder = Annotated[str, Input("local/run_pretrain_ssl.sh", ("config.json",), file=True)]
NgramModel = Annotated[str, Input("steps/train_lm.sh", file=True)]
Lexicon = Annotated[str, Input("steps/prepare_lang.sh", file=True)]


def split_paths(text: str, separator: str) -> list[str]:
    """Paths with a separator between them; one in the name of what is there belongs to the name."""
    pieces, found = text.split(separator), []
    while pieces:
        n = next((n for n in range(len(pieces), 1, -1) if Path(separator.join(pieces[:n])).exists()), 1)
        found.append(separator.join(pieces[:n]))
        pieces = pieces[n:]
    return found


def _paths(value: str, read: Input) -> list[str]:
    return [path for path in (split_paths(value, " ") if read.several else [value]) if path]


def of_section(section: Any) -> Iterator[tuple[str, Input, list[str]]]:
    """(field, what it reads, its paths) of all input paths of an instance of a section."""
    for name, kind in hints(type(section)).items():
        for beside in getattr(kind, "__metadata__", ()):
            if isinstance(beside, Input):
                value = getattr(section, name)
                yield name, beside, _paths(value, beside)


def check(option: str, read: Input, path: str) -> None:
    """UserError unless `path`, the value of an option, is there and holds what is read from it.

    It names the step that makes it, and, for a slip of the pen, what is there under a similar name.
    """
    place = Path(path)
    if place.is_file() and (read.file or not read.holds):
        return
    if place.is_dir() and (not read.holds or any((place / name).exists() for name in read.holds)):
        return
    maker = f"{read.maker} makes it" if "/" in read.maker.split()[0] else read.maker
    if place.is_dir():
        raise UserError(f"{option} {path}: holds no {' or '.join(read.holds)}: {maker}")
    if place.exists():
        raise UserError(f"{option} {path}: is a file, expected a directory: {maker}")
    raise UserError(f"{option} {path}: no such {'file or ' * read.file}directory{similar(place)}: {maker}")


def similar(path: Path) -> str:
    """What lies beside a path that is not there, under similar names: "" or ", did you mean ...?"."""
    names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, 3, 0.6)
    return f", did you mean {' or '.join(str(path.parent / name) for name in close)}?" if close else ""
