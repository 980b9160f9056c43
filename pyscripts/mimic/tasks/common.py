"""What several tasks do with their directories and transcripts."""

from collections.abc import Mapping
from pathlib import Path

from mimic.errors import UserError
from mimic.frontend import feature_config
from mimic.io import atomic
from mimic.io.tables import write_skipped


def copy_feature_options(features: Path, directory: Path, name: str = feature_config.OPTIONS) -> None:
    """Keep the options of the training features beside the model: inference reads nothing but its directory."""
    made = feature_config.of_features(features)
    if not made:
        found = "several option files, or no option file in its conf"
        raise UserError(f"{features}: {found}: steps/make_feats.sh makes a feature directory")
    with atomic.replace(directory / name, "wb") as f:
        f.write(made.read_bytes())


def check_texts(path: Path, texts: Mapping[str, str], lengths: Mapping[str, int]) -> None:
    """UserError unless the table `path` of transcripts has all of these utterances, and words."""
    if missing := lengths.keys() - texts.keys():
        raise UserError(f"{path}: has no {min(missing)}, which is in utt2num_frames: give it a transcript")
    if not any(texts[utt].strip() for utt in lengths):
        raise UserError(f"{path}: has no words: validation needs transcripts")


def leave_out(skipped: Mapping[str, str], total: int, most: float, directory: Path) -> None:
    """List left-out utterances with their reasons in skipped.tsv. Raises UserError when they are too many."""
    write_skipped(directory / "skipped.tsv", skipped)
    if len(skipped) > most * total:
        utt, reason = next(iter(sorted(skipped.items())))
        raise UserError(
            f"{len(skipped)} of {total} training utterances cannot be used, more than --data.max_skip {most}: "
            f"{utt}: {reason}; the list is in {directory / 'skipped.tsv'}"
        )
