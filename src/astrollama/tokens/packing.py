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
NO_TARGET = -1


class Piece(NamedTuple):
    """Tokens `start` to `stop` (exclusive) of a document."""

    document: int
    start: int
    stop: int


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, padded at the end to the longest.

    Attributes:
        tokens_BT: int64.
        targets_BT: int64, the token that follows, or `NO_TARGET` where none is to be predicted.
        positions_BT: int64, within the document, or within the sequence where a row is one stream.
        segments_BT: int64, equal within a document; None where a row is one stream.
    """

    tokens_BT: np.ndarray
    targets_BT: np.ndarray
    positions_BT: np.ndarray
    segments_BT: np.ndarray | None

    @property
    def num_targets(self) -> int:
        """Tokens to be predicted."""
        return int((self.targets_BT != NO_TARGET).sum())


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
        order = generator.permutation(len(self.shards)).tolist()
        lengths = self.shards.lengths_N.tolist()
        if self.attention == "packed":
            rows = list(_cut_stream(order, lengths, self.sequence_length))
        else:
            rows = list(_fit_documents(order, lengths, self.sequence_length))
        return [rows[index] for index in generator.permutation(len(rows))]

    def batch(self, rows: Sequence[Sequence[Piece]]) -> Batch:
        """Tokens and targets of sequences."""
        import numpy as np

        parts = [self._row(pieces) for pieces in rows]
        longest = max(len(tokens) for tokens, *_ in parts)
        shape = (len(parts), longest)
        tokens_BT = np.zeros(shape, np.int64)
        targets_BT = np.full(shape, NO_TARGET, np.int64)
        positions_BT = np.zeros(shape, np.int64)
        segments_BT = np.full(shape, -1, np.int64)
        for row, (tokens, targets, positions, segments) in enumerate(parts):
            tokens_BT[row, : len(tokens)] = tokens
            targets_BT[row, : len(tokens)] = targets
            positions_BT[row, : len(tokens)] = positions
            segments_BT[row, : len(tokens)] = segments
        return Batch(tokens_BT, targets_BT, positions_BT, segments_BT if self.attention == "document" else None)

    def _row(self, pieces: Sequence[Piece]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Tokens, targets, positions and segments of a sequence, each of shape (T,)."""
        import numpy as np

        texts = [self.shards.tokens(*piece) for piece in pieces]
        if self.attention == "packed":
            stream = np.concatenate(texts)
            length = len(stream) - 1
            return stream[:-1], stream[1:], np.arange(length), np.zeros(length, np.int64)
        lengths = [len(text) - 1 for text in texts]
        return (
            np.concatenate([text[:-1] for text in texts]),
            np.concatenate([text[1:] for text in texts]),
            np.concatenate([np.arange(length) for length in lengths]),
            np.repeat(np.arange(len(texts)), lengths),
        )


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
