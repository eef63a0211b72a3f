"""Documents to sequences of one length, in an order that a seed decides; every token is predicted once an epoch.

With `attention = "document"` whole documents are packed by best fit (Ding et al. 2024, arXiv:2404.10830): cutting a
document would take the context from its second half. With `attention = "packed"` documents are one stream, cut every
`sequence_length` tokens, as the AstroLLaMA paper did; neighbouring sequences share one token, which the first predicts
and the second conditions on.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from astrollama.sections import Attention
from astrollama.tokens.shards import TokenShards

if TYPE_CHECKING:
    import numpy as np

# Best fit looks at this many pieces at once: enough to fill rows to 98 % with abstracts, few enough for any corpus.
PIECES_A_WINDOW = 1024


class Piece(NamedTuple):
    """Tokens `start` to `stop` (exclusive) of a document."""

    document: int
    start: int
    stop: int


@dataclass(frozen=True)
class Batch:
    """Sequences end to end, without padding: every token has a target.

    Attributes:
        tokens_N: int64.
        targets_N: int64, the token that follows each.
        positions_N: int64, within the document, or within the sequence where a row is one stream.
        lengths: tokens of each document, or of each sequence where a row is one stream; what lies in one of these is
            attended to together.
    """

    tokens_N: np.ndarray
    targets_N: np.ndarray
    positions_N: np.ndarray
    lengths: tuple[int, ...]

    @classmethod
    def join(cls, batches: Sequence[Batch]) -> Batch:
        """Batches end to end."""
        import numpy as np

        return cls(
            np.concatenate([batch.tokens_N for batch in batches]),
            np.concatenate([batch.targets_N for batch in batches]),
            np.concatenate([batch.positions_N for batch in batches]),
            tuple(length for batch in batches for length in batch.lengths),
        )


@dataclass(frozen=True)
class Packer:
    """The sequences of packed documents, epoch by epoch."""

    shards: TokenShards
    sequence_length: int
    attention: Attention
    seed: int

    def sequences(self, epoch: int) -> list[list[Piece]]:
        """The sequences of an epoch in their order, which `seed` and `epoch` alone decide."""
        import numpy as np

        generator = np.random.default_rng([self.seed, epoch])
        rows = self.sequences_of(generator.permutation(len(self.shards)).tolist())
        return [rows[index] for index in generator.permutation(len(rows))]

    def sequences_of(self, documents: Sequence[int]) -> list[list[Piece]]:
        """Sequences of these documents alone."""
        lengths = self.shards.lengths_N.tolist()
        if self.attention == "packed":
            return list(_cut_stream(documents, lengths, self.sequence_length))
        return list(_fit_documents(documents, lengths, self.sequence_length))

    def batch(self, pieces: Sequence[Piece]) -> Batch:
        """Tokens and targets of one sequence."""
        import numpy as np

        texts = [self.shards.tokens(*piece) for piece in pieces]
        if self.attention == "packed":
            texts = [np.concatenate(texts)]
        lengths = self.lengths(pieces)
        return Batch(
            np.concatenate([text[:-1] for text in texts]),
            np.concatenate([text[1:] for text in texts]),
            np.concatenate([np.arange(length) for length in lengths]),
            lengths,
        )

    def lengths(self, pieces: Sequence[Piece]) -> tuple[int, ...]:
        """Predicted tokens of each part of a sequence that is attended to together; no token is read for it."""
        lengths = [piece.stop - piece.start for piece in pieces]
        if self.attention == "packed":
            return (sum(lengths) - 1,)
        return tuple(length - 1 for length in lengths)


def _fit_documents(order: Sequence[int], lengths: Sequence[int], sequence_length: int) -> Iterator[list[Piece]]:
    """Pack documents whole; one that is longer than a sequence is cut into pieces that share a token."""
    window: list[Piece] = []
    for document in order:
        length = lengths[document]
        window += (
            Piece(document, start, min(start + sequence_length + 1, length))
            for start in range(0, length - 1, sequence_length)
        )
        if len(window) >= PIECES_A_WINDOW:
            yield from _best_fit(window, sequence_length)
            window = []
    yield from _best_fit(window, sequence_length)


def _best_fit(pieces: Sequence[Piece], sequence_length: int) -> list[list[Piece]]:
    """Best fit, longest first: each piece goes to the sequence with the least room that is enough."""
    rows: list[list[Piece]] = []
    rooms: list[tuple[int, int]] = []  # (room left, row), sorted
    for piece in sorted(pieces, key=lambda piece: piece.start - piece.stop):
        size = piece.stop - piece.start - 1
        place = bisect_left(rooms, (size, -1))
        if place < len(rooms):
            room, row = rooms.pop(place)
        else:
            room, row = sequence_length, len(rows)
            rows.append([])
        rows[row].append(piece)
        insort(rooms, (room - size, row))
    return rows


def _cut_stream(order: Sequence[int], lengths: Sequence[int], sequence_length: int) -> Iterator[list[Piece]]:
    """Cut the stream of all documents into sequences of `sequence_length` + 1 tokens that overlap by one."""
    row: list[Piece] = []
    room = sequence_length + 1
    for document in order:
        start = 0
        while start < lengths[document]:
            stop = min(start + room, lengths[document])
            row.append(Piece(document, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield row
                row, room = [Piece(document, stop - 1, stop)], sequence_length
    if sum(piece.stop - piece.start for piece in row) > 1:
        yield row
