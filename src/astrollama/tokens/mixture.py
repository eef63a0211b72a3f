"""The corpus's sequences, or its pairs, with sequences of general text among them, at a fixed share of the tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from astrollama.tokens.packing import Batch, Packer, Piece
from astrollama.tokens.pairs import PairPacker


class Row(NamedTuple):
    """A sequence, of the corpus or of the general text."""

    is_replay: bool
    pieces: list[Piece]


@dataclass(frozen=True)
class Mixture:
    """What a run trains on.

    Attributes:
        replay: general text; None where `share` is 0.
        share: of the predicted tokens that are general text.
    """

    corpus: Packer | PairPacker
    replay: Packer | None = None
    share: float = 0.0

    def is_replay_due(self, num_tokens: int, num_replay_tokens: int) -> bool:
        """Whether the next sequence is general text: whenever its share so far lies below the one that is asked for.

        So the share is kept to within a sequence at any time, in an order that nothing but the tokens decides.
        """
        return self.replay is not None and num_replay_tokens < self.share * num_tokens

    def batch(self, rows: Iterable[Row]) -> Batch:
        """Tokens and targets of sequences, end to end."""
        return Batch.join([self._documents(row).batch(row.pieces) for row in rows])

    def lengths(self, rows: Iterable[Row]) -> list[int]:
        """Predicted tokens of each part of some sequences that is attended to together."""
        return [length for row in rows for length in self._packer(row).lengths(row.pieces)]

    def document_ids(self, rows: Sequence[Row]) -> list[str]:
        """The identifiers of the documents in sequences, sorted, each once."""
        return sorted({self._packer(row).shards.ids[piece.document] for row in rows for piece in row.pieces})

    def _documents(self, row: Row) -> Packer:
        packer = self._packer(row)
        assert isinstance(packer, Packer)
        return packer

    def _packer(self, row: Row) -> Packer | PairPacker:
        if not row.is_replay:
            return self.corpus
        assert self.replay is not None
        return self.replay
