"""Pairs of texts that belong together, in an order that a seed decides: what an encoder is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from astrollama.corpus.sentences import halves
from astrollama.corpus.store import STAGE_NAME as CORPUS_STAGE
from astrollama.corpus.store import read_documents
from astrollama.errors import RunError, UserInputError
from astrollama.files import sha256_file
from astrollama.records import Document, paper_and_version
from astrollama.runs import read_manifest, verify_files
from astrollama.sections import EncoderSection
from astrollama.sources.citations import read_citations
from astrollama.tokens.neighbours import groups_of_neighbours, word_vectors
from astrollama.tokens.packing import Piece
from astrollama.tokens.tokenizer import DocumentTokenizer

if TYPE_CHECKING:
    import numpy as np

# Of a text that is much longer than `max_tokens` only so many characters a token go to the tokenizer.
_MOST_CHARACTERS_A_TOKEN = 16


@dataclass(frozen=True)
class PairTexts:
    """The texts of a corpus's pairs, as tokens.

    Attributes:
        ids: of the document that each text is from.
        content_hashes: of these documents.
        tokens: of each text, led by BOS.
        pairs_P2: int64, the two texts of each pair.
        hashes: of the files that they come from, by name.
    """

    ids: Sequence[str]
    content_hashes: Sequence[str]
    tokens: Sequence[np.ndarray]
    pairs_P2: np.ndarray
    hashes: dict[str, str]

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs_P2)

    @cached_property
    def papers(self) -> list[int]:
        """A number for each text, the same for texts of one paper."""
        numbers: dict[str, int] = {}
        return [numbers.setdefault(paper_and_version(own)[0], len(numbers)) for own in self.ids]


@dataclass(frozen=True)
class PairPacker:
    """The pairs, epoch by epoch; each is a sequence of two pieces, a text each.

    Attributes:
        near: how many pairs with like words follow each other, a step's worth; 0 leaves their order to chance.
    """

    shards: PairTexts
    seed: int
    near: int = 0

    def sequences(self, epoch: int) -> list[list[Piece]]:
        """The pairs of an epoch in their order, which `seed` and `epoch` alone decide."""
        import numpy as np

        generator = np.random.default_rng([self.seed, epoch])
        order_P = generator.permutation(len(self.shards))
        if self.near:
            order_P = self._grouped(order_P, epoch, generator)
        return [self._pieces(pair) for pair in self.shards.pairs_P2[order_P].tolist()]

    def sequences_of(self, pairs: Sequence[int]) -> list[list[Piece]]:
        """These pairs alone."""
        return [self._pieces(pair) for pair in self.shards.pairs_P2[list(pairs)].tolist()]

    def lengths(self, pieces: Sequence[Piece]) -> tuple[int, ...]:
        """Tokens of each text of a pair."""
        return tuple(piece.stop - piece.start for piece in pieces)

    def _grouped(self, order_P: np.ndarray, epoch: int, generator: np.random.Generator) -> np.ndarray:
        """Steps of like pairs. Whatever completes the last step of the epoch before comes first, as chance will have it."""
        import numpy as np

        first = -epoch * len(order_P) % self.near
        groups = list(groups_of_neighbours(order_P[first:], self._word_vectors, self.near, generator))
        whole = [group for group in groups if len(group) == self.near]
        rest = [group for group in groups if len(group) < self.near]
        mixed = [whole[number] for number in generator.permutation(len(whole))]
        return np.concatenate([order_P[:first], *mixed, *rest])

    @cached_property
    def _word_vectors(self) -> np.ndarray:
        """Where each pair lies by the tokens of both of its texts."""
        import numpy as np

        tokens = self.shards.tokens
        return word_vectors([np.concatenate([tokens[text] for text in pair]) for pair in self.shards.pairs_P2.tolist()])

    def _pieces(self, pair: Sequence[int]) -> list[Piece]:
        return [Piece(text, 0, len(self.shards.tokens[text])) for text in pair]


def read_pairs(
    corpus: Path,
    part: str,
    tokenizer: DocumentTokenizer,
    settings: EncoderSection,
    citations: Path | None = None,
) -> PairTexts:
    """The pairs of one part of a corpus; citing and cited paper are both of that part.

    Args:
        part: `train` or `validation`.
        citations: who cites whom, where `settings.pairs` asks for it.

    Raises:
        RunError: the corpus is none, is damaged, or has no pairs in this part.
        SourceError: the file of citations cannot be used.
        UserInputError: citations are asked for, and there is no file of them.
    """
    import numpy as np

    manifest = read_manifest(corpus, CORPUS_STAGE)
    name = f"{part}.parquet"
    verify_files(corpus, manifest, [name])
    documents = list(read_documents(corpus / name))
    texts: list[str] = []
    owners: list[int] = []
    pairs: list[tuple[int, int]] = []
    for owner, other, first, second in _pairs(documents, settings, citations):
        pairs.append((len(texts), len(texts) + 1))
        texts += [first, second]
        owners += [owner, other]
    if not pairs:
        raise RunError(f"{corpus / name} has no pairs of texts", f"choose other encoder.pairs than {settings.pairs}")
    longest = _MOST_CHARACTERS_A_TOKEN * settings.max_tokens
    encoded = tokenizer.encode([text[:longest] for text in texts])
    tokens = [np.array([tokenizer.bos_id, *own[: settings.max_tokens]], dtype=np.int64) for own in encoded]
    whole = np.array([len(tokens[a]) > 1 and len(tokens[b]) > 1 for a, b in pairs])
    hashes = {name: manifest["files"][name]["sha256"]}
    if citations is not None and "citations" in settings.pairs:
        hashes["citations"] = sha256_file(citations)
    return PairTexts(
        [documents[owner].id for owner in owners],
        [documents[owner].content_hash for owner in owners],
        tokens,
        np.array(pairs, dtype=np.int64)[whole],
        hashes,
    )


def _pairs(
    documents: Sequence[Document], settings: EncoderSection, citations: Path | None
) -> Iterator[tuple[int, int, str, str]]:
    """Numbers of two documents, or of one twice, and the two texts."""
    for number, document in enumerate(documents):
        if "title" in settings.pairs and document.title.strip():
            yield number, number, document.title, document.text
        if "halves" in settings.pairs and (divided := halves(document.text)):
            yield number, number, *divided
    if "citations" in settings.pairs:
        yield from _cited(documents, citations)


def _cited(documents: Sequence[Document], citations: Path | None) -> Iterator[tuple[int, int, str, str]]:
    if citations is None:
        raise UserInputError(
            "encoder.pairs has citations, and there is no file of them", "give --citations, or leave them out"
        )
    places = {paper_and_version(document.id)[0]: number for number, document in enumerate(documents)}
    for citing, references in read_citations(citations).items():
        if citing not in places:
            continue
        for reference in references:
            if reference in places:
                first, second = places[citing], places[reference]
                yield first, second, documents[first].text, documents[second].text
