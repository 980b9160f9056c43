"""Features that tell the phones, with alignments of monophones."""

import numpy as np
import pytest
from lang_maker import monophones

from mimic.hmm.alignments import Aligner, write_ali
from mimic.hmm.model import write_tree
from mimic.io.archives import ArkWriter
from mimic.io.feature_dir import CmvnStats
from mimic.io.tables import write_data_dir


@pytest.fixture(scope="module")
def corpus(lang, tmp_path_factory):
    """Features that tell the phones, alignments of them, train and dev."""
    root = tmp_path_factory.mktemp("hybrid")
    model, draw = monophones(lang), np.random.default_rng(0)
    aligner = Aligner(lang, model)
    for name, utterances in (("train", 10), ("dev", 4)):
        folder, ali_dir = root / name, root / f"{name}_ali"
        (folder / "conf").mkdir(parents=True)
        ali_dir.mkdir()
        tables: dict[str, dict[str, str]] = {n: {} for n in ("utt2spk", "text", "utt2num_frames")}
        stats, alignments = CmvnStats(), {}
        with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
            for i in range(utterances):
                utt, speaker, text = f"s{i % 2}-{i:02d}", f"s{i % 2}", " ".join(draw.choice(["ONE", "TWO", "EIGHT"], 2))
                ali = aligner.equal(text, 40 + i)
                x = model.gmm.means[model.tid_pdf[ali]] * 3 + draw.normal(size=(len(ali), 3))
                writer.write(utt, x.astype(np.float32))
                stats.add(speaker, x)
                alignments[utt] = ali
                tables["utt2spk"][utt], tables["text"][utt] = speaker, text
                tables["utt2num_frames"][utt] = str(len(ali))
        write_data_dir(folder, tables)
        stats.write(folder / "cmvn.ark", folder / "cmvn.scp")
        (folder / "conf/mfcc.conf").write_text("")
        write_ali(ali_dir / "ali.1.gz", alignments)
        (ali_dir / "num_jobs").write_text("1\n")
        model.write(ali_dir / "final.mdl")
        write_tree(model.tree, ali_dir / "tree")
    return root, model
