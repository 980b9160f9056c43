"""Option files in Kaldi's format: one `--name=value  # comment` per line."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mimic.errors import UserError
from mimic.io.lines import read_lines
from mimic.settings import convert, hints

T = TypeVar("T")
# Options of Kaldi's compute-*-feats that nothing here does.
KALDI = {
    *("blackman_coeff", "cepstral_lifter", "channel", "debug_mel", "energy_floor", "frames_per_chunk", "htk_mode"),
    *(
        "max_feature_vectors",
        "min_duration",
        "num_ceps",
        "num_fft_bins",
        "output_format",
        "raw_energy",
        "subtract_mean",
    ),
    *("use_energy", "utt2spk", "vtln_high", "vtln_low", "vtln_map", "vtln_warp", "write_utt2dur"),
}
BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_options(path: str | Path, config: type[T], only: Mapping[str, str] | None = None) -> T:
    """Read `path` into the dataclass `config`; what the file leaves out keeps the default of the dataclass.

    Of a name given twice the last line counts, as in Kaldi. `only` lists options that are known but have one possible
    value. Raises UserError with file and line for anything but `--name=value`, for an unknown name (with the nearest
    one), an option of Kaldi that is not supported, and a value of the wrong type.
    """
    fields = hints(config)
    only = only or {}
    values: dict[str, Any] = {}
    for number, line in read_lines(path, "option file"):
        option = line.partition("#")[0].strip()
        if not option:
            continue
        where = f"{path}:{number}"
        name, has_value, value = option.removeprefix("--").partition("=")
        # Kaldi takes names in either spelling and reads a bare `--flag` as true.
        key, value = name.strip().lower().replace("-", "_"), value.strip() if has_value else "true"
        if not option.startswith("--") or " " in key:
            raise UserError(f"{where}: expected --name=value, got {option!r}")
        if key not in fields and key not in only and key in KALDI:
            raise UserError(f"{where}: --{name} is an option of Kaldi that is not supported here: remove the line")
        if key not in fields and key not in only:
            near = difflib.get_close_matches(key, [*fields, *only], n=1, cutoff=0)[0]
            raise UserError(f"{where}: unknown option --{name}: the nearest is --{near.replace('_', '-')}")
        if key in only and BOOLEANS.get(value.lower(), value) != BOOLEANS.get(only[key], only[key]):
            raise UserError(f"{where}: --{name}={value} is not supported, only {only[key]}: remove the line")
        values[key] = value if key in only else _parse(fields[key], value, f"{where}: --{name}")
    try:
        return config(**{key: value for key, value in values.items() if key in fields})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _parse(kind: Any, value: str, where: str) -> Any:
    if kind is bool and value.lower() in BOOLEANS:
        return BOOLEANS[value.lower()]
    return convert(kind, value, where)
