"""An earlier corpus, whose papers stay where they were as it grows.

What was held out must never be trained on: not the paper, and not its text under another identifier or in another version.
Texts that an earlier corpus held out and a later one does not have (a source shrinks, a paper is revised) are handed on in
`earlier.parquet`, so that the promise holds along a chain of corpora.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from astrollama.corpus.dedup import Fingerprints, signature, words_hash
from astrollama.corpus.split import SPLITS, Split
from astrollama.corpus.store import STAGE_NAME
from astrollama.errors import RunError
from astrollama.files import atomic_path
from astrollama.records import paper_and_version
from astrollama.runs import read_manifest, verify_files
from astrollama.sections import CorpusSection

EARLIER = "earlier.parquet"

_RANK: dict[Split, int] = {"test": 0, "validation": 1, "train": 2}


@dataclass(frozen=True, slots=True)
class HeldOutText:
    """A text that an earlier corpus tested or validated on."""

    id: str
    date: str
    split: Split
    text: str


@dataclass(frozen=True)
class PreviousCorpus:
    """Where an earlier corpus has its papers.

    Attributes:
        split_of_paper: by identifier without version.
        identity: the earlier corpus's hashes, for the later one's manifest.
    """

    validation_from: str | None
    held_out_from: str | None
    split_of_paper: Mapping[str, Split]
    held_out: Sequence[HeldOutText]
    identity: Mapping[str, str]

    @property
    def rank_of_paper(self) -> dict[str, int]:
        """Who stays when texts are the same: what was tested on first, so that its copies are never trained on."""
        return {paper: _RANK[split] for paper, split in self.split_of_paper.items()}

    def missing_from(self, fingerprints: Fingerprints) -> list[HeldOutText]:
        """The held-out texts that no paper of theirs has any more."""
        present = {
            (paper_and_version(document_id)[0], own_hash)
            for document_id, own_hash in zip(fingerprints.ids, fingerprints.words_hash, strict=True)
        }
        return [own for own in self.held_out if (paper_and_version(own.id)[0], words_hash(own.text)) not in present]


def read_previous(corpus: Path, settings: CorpusSection) -> PreviousCorpus:
    """Read an earlier corpus.

    Raises:
        RunError: it is no complete corpus, or was split in another way.
    """
    import pyarrow.parquet as pq

    manifest = read_manifest(corpus, STAGE_NAME)
    _require_same_split(corpus, manifest["split"], manifest["identity"]["settings"], settings)
    names = [name for name in (*(f"{split}.parquet" for split in SPLITS), EARLIER) if name in manifest["files"]]
    verify_files(corpus, manifest, names)
    split_of_paper: dict[str, Split] = {}
    held_out: list[HeldOutText] = []
    if EARLIER in names:
        held_out = [HeldOutText(**row) for row in pq.read_table(corpus / EARLIER).to_pylist()]
        split_of_paper = {paper_and_version(own.id)[0]: own.split for own in held_out}
    for split in SPLITS:
        if f"{split}.parquet" not in names:
            continue
        columns = ["id"] if split == "train" else ["id", "date", "text"]
        for row in pq.read_table(corpus / f"{split}.parquet", columns=columns).to_pylist():
            split_of_paper[paper_and_version(row["id"])[0]] = split
            if split != "train":
                held_out.append(HeldOutText(**row, split=split))
    return PreviousCorpus(
        manifest["split"].get("validation_from"),
        manifest["split"]["held_out_from"],
        split_of_paper,
        held_out,
        {name: str(manifest["files"][name]["sha256"]) for name in names},
    )


def write_earlier(texts: Sequence[HeldOutText], path: Path) -> None:
    """Hand on held-out texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_path(path) as partial:
        pq.write_table(pa.Table.from_pylist([asdict(own) for own in texts]), partial)


def with_earlier(own: Fingerprints, earlier: Sequence[HeldOutText], seed: int) -> Fingerprints:
    """Fingerprints with those of earlier texts behind them."""
    import numpy as np

    if not earlier:
        return own
    return Fingerprints(
        [*own.ids, *(text.id for text in earlier)],
        [*own.dates, *(text.date for text in earlier)],
        [*own.words_hash, *(words_hash(text.text) for text in earlier)],
        np.concatenate([own.signature_NP, np.stack([signature(text.text, seed) for text in earlier])]),
    )


def _require_same_split(
    corpus: Path, found: Mapping[str, str | None], before: Mapping[str, object], settings: CorpusSection
) -> None:
    if (found["kind"] == "random") != (settings.split == "random"):
        raise RunError(
            f"{corpus} was split by {found['kind']}, not by {settings.split}", f"set corpus.split = {found['kind']!r}"
        )
    wanted: dict[str, object] = {}
    if settings.split == "months":
        before = {"validation_from": found.get("validation_from"), "test_from": found["held_out_from"]}
        wanted = {"validation_from": settings.validation_from, "test_from": settings.test_from}
    elif settings.split == "random":
        names = ("seed", "test_fraction", "validation_fraction")
        wanted = {name: getattr(settings, name) for name in names if name in before}
    for name, value in wanted.items():
        if before[name] != value:
            raise RunError(
                f"{corpus} was split with {name} = {before[name]!r}, not {value!r}",
                f"set corpus.{name} = {before[name]!r}, or give no --like",
            )
