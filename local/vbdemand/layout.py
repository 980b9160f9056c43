"""Where the parts of VoiceBank-DEMAND are in a directory: zips as they are published, or what was unpacked of them."""

from pathlib import Path

from mimic.errors import UserError

SUBSETS = ("trainset_28spk", "testset")
LOGS = "logfiles"
LEXICON = "librispeech-lexicon.txt"


def locate(src: Path) -> dict[str, Path]:
    """Find {part: folder, or zip}, parts being `clean_<subset>`, `noisy_<subset>`, `txt_<subset>`, `log_<subset>`.

    Both sides of a subset are taken in the same form: 48 kHz, unpacked or not, before the folders with `_16k` that
    other recipes make. A log that is not there is left out; UserError for anything else that is missing.
    """
    parts: dict[str, Path] = {}
    for subset in SUBSETS:
        names = {side: f"{side}_{subset}_wav" for side in ("clean", "noisy")}
        native = {side: _folder_or_zip(src, name) for side, name in names.items()}
        other = {side: _folder_or_zip(src, f"{name}_16k") for side, name in names.items()}
        chosen = other if None in native.values() and None not in other.values() else native
        for side, path in chosen.items():
            parts[f"{side}_{subset}"] = _wanted(path, src, names[side], f", nor both sides of {subset} as *_16k/")
        parts[f"txt_{subset}"] = _wanted(_folder_or_zip(src, f"{subset}_txt"), src, f"{subset}_txt")
        places = (src, src / LOGS, src / f"{LOGS}.zip")
        log = next((p for p in places if (p.suffix == ".zip" and p.is_file()) or log_file(p, subset).is_file()), None)
        if log:
            parts[f"log_{subset}"] = log
    return parts


def log_file(folder: Path, subset: str) -> Path:
    """The log with noise and SNR of each utterance."""
    return folder / f"log_{subset}.txt"


def unpacked(src: Path, name: str) -> bool:
    """Tell whether what the zip `name` holds lies in `src` already, so that the zip is not needed."""
    if name == f"{LOGS}.zip":
        return any(all(log_file(p, subset).is_file() for subset in SUBSETS) for p in (src, src / LOGS))
    stem = name.removesuffix(".zip")
    return stem != name and any((src / folder).is_dir() for folder in (stem, f"{stem}_16k"))


def _folder_or_zip(src: Path, name: str) -> Path | None:
    return next((p for p in (src / name, src / f"{name}.zip") if p.exists()), None)


def _wanted(path: Path | None, src: Path, name: str, more: str = "") -> Path:
    if path is None:
        raise UserError(f"{src}: no {name}.zip, nor {name}/{more}: local/vbdemand/download.sh {src} fetches it")
    return path
