"""Hugging Face `datasets`: what save_to_disk writes (Arrow), and Parquet with embedded audio, read batch by batch.

pyarrow is needed for these only, and is not a package of this recipe.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mimic.corpus.formats.columns import assign, log_names, utterance
from mimic.corpus.formats.utterance import Reading, Utterance, number, shown
from mimic.errors import UserError
from mimic.io.recording import undated

BATCH = 16  # rows of Parquet that are in memory as Python objects
Rows = Iterator[tuple[str, Any, list[dict[str, Any]]]]  # place of the first, schema, rows


def read_huggingface(source: Path, options: Reading) -> Iterator[Utterance]:
    """The rows of a dataset; one without an id gets the name of its file, and its number where that is not its own."""
    count = 0
    stems: set[str] = set()
    names: dict[str, str] = {}
    labels: dict[str, list[str]] = {}
    for where, schema, rows in _rows(source, options):
        if not count:
            names = _names(where, schema, options)
            labels = _labels(schema)
        for row in rows:
            place = f"{where}, row {count}"
            for column in labels.keys() & set(names.values()):
                if isinstance(row[column], int) and 0 <= row[column] < len(labels[column]):
                    row[column] = labels[column][row[column]]
            audio = row.pop(names["audio"])
            found = utterance(place, {**row, names["audio"]: "-"}, names)
            path, sound = _audio(audio, place)
            stem = Path(path).stem
            if not stem or stem in stems:
                stem = f"{stem}-{count:07d}".lstrip("-")
            stems.add(stem)
            yield Utterance(
                **{name: getattr(found, name) for name in ("where", "text", "speaker", "gender", "channel")},
                audio="" if sound is not None else path,
                id=found.id or stem,
                start=found.start,
                end=found.end if "end" in names or "start" in names else None,  # else it is that of the whole
                sound=sound,
            )
            count += 1
    if not count:
        raise UserError(f"{source}: no rows: there is nothing to import")


def files(source: Path, split: str = "") -> list[Path]:
    """The Arrow or Parquet files of a source, in the order of their rows; [] where it is not such a dataset."""
    if source.is_file():
        return [source] if _is_arrow(source) or _is_parquet(source) else []
    if (source / "dataset_dict.json").exists():
        splits = json.loads((source / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        return files(source / _one_of(source, splits, split))
    if (source / "state.json").exists():
        state = json.loads((source / "state.json").read_text(encoding="utf-8"))
        return [source / entry["filename"] for entry in state["_data_files"]]
    found = sorted(path for folder in (source, source / "data") for path in folder.glob("*.parquet"))
    if not found:
        return []
    chosen = _one_of(source, sorted({path.stem.split("-")[0] for path in found}), split)
    return [path for path in found if path.stem.split("-")[0] == chosen]


def _one_of(source: Path, splits: list[str], split: str) -> str:
    if split in splits:
        return split
    if len(splits) == 1 and not split:
        return splits[0]
    raise UserError(f"{source}: has the splits {' '.join(splits)}: name one with --split")


def _rows(source: Path, options: Reading) -> Rows:
    try:
        import pyarrow as pa  # optional, and large
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(f"{source}: Arrow and Parquet take pyarrow: pip install pyarrow (in .venv)") from None
    for path in files(source, options.split):
        try:
            if _is_parquet(path):
                with pq.ParquetFile(path, pre_buffer=False) as table:
                    for group in range(table.num_row_groups):
                        for batch in table.iter_batches(BATCH, row_groups=[group]):
                            yield str(path), batch.schema, batch.to_pylist()
                continue
            with pa.memory_map(str(path)) as mapped:
                stream = path.open("rb").read(6) != b"ARROW1"
                table = pa.ipc.open_stream(mapped) if stream else pa.ipc.open_file(mapped)
                batches = table if stream else (table.get_batch(i) for i in range(table.num_record_batches))
                for batch in batches:
                    for begin in range(0, batch.num_rows, BATCH):
                        yield str(path), batch.schema, batch.slice(begin, BATCH).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            what = str(error).split("\n")[0]
            raise UserError(f"{path}: damaged or cut short ({what}): copy or save it again") from None


def _names(where: str, schema: Any, options: Reading) -> dict[str, str]:
    """As columns.assign; a column of structures with bytes or samples is the audio, whatever its name."""
    columns = {field.name: field.type for field in schema}
    given = dict(options.columns)
    if "audio" not in given:
        for name, kind in columns.items():
            if str(kind).startswith("struct<") and ("bytes:" in str(kind) or "array:" in str(kind)):
                given["audio"] = name
                break
    names = assign(columns, given, where)
    log_names(where, names)
    return names


def _labels(schema: Any) -> dict[str, list[str]]:
    """{column: names} of the columns that hold numbers of classes (ClassLabel)."""
    written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = written.get("info", {}).get("features", {})
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def _audio(value: Any, where: str) -> tuple[str, bytes | None]:
    """(path, bytes) of a cell: a path, bytes, {bytes, path}, or {array, sampling_rate}."""
    if isinstance(value, str) and value:
        return value, None
    if isinstance(value, bytes) and value:
        return "", value
    if isinstance(value, dict):
        path = str(value.get("path") or "")
        if value.get("bytes"):
            return path, value["bytes"]
        if value.get("array"):
            wav = io.BytesIO()
            rate = int(number(value, "sampling_rate", where))
            x = np.asarray(value["array"], "float32").T
            with undated(
                soundfile.SoundFile(wav, "w", rate, 1 if x.ndim == 1 else x.shape[1], "FLOAT", format="WAV")
            ) as f:
                f.write(x)
            return path, wav.getvalue()
        if path:
            return path, None
    raise UserError(f"{where}: the audio is {shown(value)}, expected a path or {{bytes, path}}")


def _is_parquet(path: Path) -> bool:
    with open(path, "rb") as f:
        return f.read(4) == b"PAR1"


def _is_arrow(path: Path) -> bool:
    with open(path, "rb") as f:
        return f.read(6) == b"ARROW1" or path.suffix == ".arrow"
