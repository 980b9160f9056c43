"""A miniature of VoiceBank-DEMAND in the published layout, and its way through download.sh."""

import zipfile
from pathlib import Path

import numpy as np
import soundfile
from data_maker import ROOT, run, snapshot
from served import Server, write_listing

LOCAL = ROOT / "local" / "vbdemand"
ZIPS = [f"{side}_{subset}_wav.zip" for side in ("clean", "noisy") for subset in ("trainset_28spk", "testset")]
ZIPS += ["trainset_28spk_txt.zip", "testset_txt.zip", "logfiles.zip"]
SUBSETS = {
    "trainset_28spk": {
        "p226_001": "Please call Stella.",
        "p226_002": "A two-day test.",
        "p227_001": "Six spoons of fresh snow peas, don't we'll",
        "p227_002": "\ufeffThat is well,\nMr Stella!",
        "p287_001": "Please call a zorbing test.",
    },
    "testset": {"p232_001": "Please call Stella.", "p257_001": "Six spoons!", "p257_002": "Stop!"},
}
LEXICON = """A AH0
A EY1
CALL K AO1 L
CALL K AA1 L
DON'T D OW1 N T
FRESH F R EH1 SH
IS IH1 Z
MR M AA1 R
OF AH1 V
PEAS P IY1 Z
PLEASE P L IY1 Z
SIX S IH1 K S
SNOW S N OW1
SPOONS S P UW1 N Z
STELLA S T EH1 L AH0
STOP S T AA1 P
TEST T EH1 S T
THAT DH AE1 T
WE'LL W IY1 L
WELL W EH1 L
ZOO Z UW1
BORING B AO1 R IH0 NG
"""


def speech(seed: int, samples: int, rate: int = 48000) -> np.ndarray:
    """Voiced syllables, (samples,): something that PESQ takes for speech."""
    t = np.arange(samples) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * (1.5 + seed / 9) * t)) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 30))
    return 0.15 * voice * np.clip(np.sin(2 * np.pi * (3 + seed / 7) * t + seed), 0, None)


def zipped(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2017, 8, 21, 10, 33, 40)), content)


def make_miniature(folder: Path) -> Path:
    """The seven zips and the lexicon as they are published, with 8 utterances."""
    folder.mkdir(parents=True)
    logs = {"log_readme.txt": b"name noise snr\n"}
    for subset, texts in SUBSETS.items():
        wavs: dict[str, dict[str, bytes]] = {"clean": {}, "noisy": {}}
        words, lines = {}, []
        for i, (name, text) in enumerate(texts.items()):
            x = speech(i, 48000 * (3 if len(text) > 30 else 2) + 1111 * i)
            noise = 0.05 * np.random.default_rng(i).standard_normal(len(x))
            for side, y in (("clean", x), ("noisy", x + noise)):
                file = folder / "x.wav"
                soundfile.write(file, y, 48000)
                wavs[side][f"{side}_{subset}_wav/{name}.wav"] = file.read_bytes()
            words[f"{subset}_txt/{name}.txt"] = f"{text}\n".encode()
            words[f"__MACOSX/{subset}_txt/._{name}.txt"] = b"\x00\x05\x16\x07"
            lines.append(f"{name} {('bus', 'cafe')[i % 2]} {(2.5, 7.5, 12.5, 17.5, 15)[i]}\n")
        (folder / "x.wav").unlink()
        for side, members in wavs.items():
            zipped(folder / f"{side}_{subset}_wav.zip", members)
        zipped(folder / f"{subset}_txt.zip", words)
        logs[f"log_{subset}.txt"] = "".join(lines).encode()
    zipped(folder / "logfiles.zip", logs)
    (folder / "librispeech-lexicon.txt").write_text(LEXICON)
    return folder


def listing(tmp_path: Path, miniature: Path, known: tuple[str, ...] = (), url: str = "") -> Path:
    """A list of the miniature's files, with sizes and sums of the `known` ones only."""
    return write_listing(tmp_path / "files.tsv", miniature, [*ZIPS, "librispeech-lexicon.txt"], known, url)


def download(server: Server, folder: Path, files: Path, *options: str):
    words = ["--files", files, "--url", f"{server.url}/", "--pause", "0.01"]
    return run("local/vbdemand/download.sh", *words, *options, folder)


def same_files(folder: Path, miniature: Path) -> bool:
    files = {n: raw for n, raw in snapshot(folder).items() if n != "checksums.tsv"}
    return files == snapshot(miniature)
