"""Which format a path has, by its content."""

from collections.abc import Callable, Iterator
from pathlib import Path

from mimic.corpus.formats import chime, huggingface, lhotse
from mimic.corpus.formats.columns import NAMES, utterances
from mimic.corpus.formats.delimited import read_delimited, separator
from mimic.corpus.formats.json_files import first_character, first_object, objects
from mimic.corpus.formats.trees import VCTK_AUDIO, read_librispeech, read_ljspeech, read_vctk
from mimic.corpus.formats.utterance import Reading, Utterance
from mimic.errors import UserError
from mimic.io.lines import read_lines


def read_nemo(source: Path, options: Reading) -> Iterator[Utterance]:
    """NeMo's manifests, and other JSON lines with a field for the audio."""
    return utterances(objects(source), options.columns)


READERS: dict[str, Callable[[Path, Reading], Iterator[Utterance]]] = {
    "lhotse": lhotse.read_lhotse,
    "huggingface": huggingface.read_huggingface,
    "nemo": read_nemo,
    "csv": read_delimited,
    "librispeech": read_librispeech,
    "ljspeech": read_ljspeech,
    "vctk": read_vctk,
    "chime": chime.read_chime,
}
TAKEN_BY = {  # of Reading: the formats that have several of it
    "split": ("lhotse", "huggingface", "librispeech", "chime"),
    "columns": ("huggingface", "nemo", "csv"),
    "mic": ("vctk", "chime"),
}
KNOWN = "Lhotse, Hugging Face datasets, NeMo, CSV/TSV, LibriSpeech, LJSpeech, VCTK, CHiME"


def read(kind: str, source: Path, options: Reading) -> Iterator[Utterance]:
    """Utterances of a source of this format. UserError for none, and for an option that the format does not take."""
    for name, formats in TAKEN_BY.items():
        if getattr(options, name) and kind not in formats:
            raise UserError(f"{source}: --{name} is for {', '.join(formats)}, this is {kind}: leave it out")
    empty = True
    for utterance in READERS[kind](source, options):
        empty = False
        yield utterance
    if empty:
        raise UserError(f"{source}: no utterances: there is nothing to import")


def detect(source: Path) -> tuple[str, str]:
    """(name in READERS, what shows it). Raises UserError for what is none of them."""
    if not source.exists():
        raise UserError(f"{source}: no such file or directory")
    found = _of_folder(source) if source.is_dir() else _of_file(source)
    if not found[0]:
        why = f" ({found[1]})" if found[1] else ""
        raise UserError(f"{source}: none of {KNOWN}{why}: name it with --from {'|'.join(READERS)}")
    return found


def _of_folder(folder: Path) -> tuple[str, str]:
    if (folder / "wav.scp").exists():
        raise UserError(f"{folder}: is a Kaldi data directory already: local/import_corpus.sh takes it")
    if data := [path for path in ("dataset_dict.json", "state.json") if (folder / path).exists()]:
        return "huggingface", f"it has {data[0]}"
    if any(path for part in (folder, folder / "data") for path in part.glob("*.parquet")):
        return "huggingface", "it has *.parquet"
    if (folder / "metadata.csv").exists() and (folder / "wavs").is_dir():
        return "ljspeech", "it has metadata.csv and wavs/"
    if (folder / "txt").is_dir() and any((folder / name).is_dir() for name in VCTK_AUDIO):
        return "vctk", "it has txt/ and wav48*/"
    for path in lhotse.manifests(folder):
        if lhotse.kind_of(first_object(path)):
            return "lhotse", f"it has {path.name}"
    for path in chime.json_files(folder):
        if first_character(path) == "[" and chime.is_chime(first_object(path)):
            return "chime", f"it has {path.relative_to(folder)}"
    if chapter := next(folder.rglob("*.trans.txt"), None):
        return "librispeech", f"it has {chapter.relative_to(folder)}"
    return "", ""


def _of_file(path: Path) -> tuple[str, str]:
    if huggingface.files(path):
        return "huggingface", "it is Arrow or Parquet"
    first = first_character(path)
    if not first:
        raise UserError(f"{path}: empty: there is nothing to import")
    line = next(line for _, line in read_lines(path) if line.strip())
    if first in "{[" or line.startswith(("- ", "---")):
        entry = first_object(path)
        if kind := lhotse.kind_of(entry):
            return "lhotse", f"its first entry is one of {kind}"
        if chime.is_chime(entry):
            return "chime", f"its entries have {'wsj_name' if 'wsj_name' in entry else 'session_id'}"
        if audio := [name for name in NAMES["audio"] if name in entry]:
            return "nemo", f"its entries have {audio[0]}"
        return "", f"its entries have {' '.join(sorted(entry))}"
    mark = separator(line)
    return ("csv", f"its cells are parted by {'tabs' if mark == chr(9) else mark}") if mark else ("", "")
