from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from astrollama.models.load import load_tokenizer
from astrollama.sections import Attention
from astrollama.tokens.packing import Batch, Packer
from astrollama.tokens.shards import TokenShards, pack_corpus

SEED = 3


@pytest.fixture(scope="module")
def shards(sample_corpus: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    out = tmp_path_factory.mktemp("packed") / "tokens"
    pack_corpus(sample_corpus, load_tokenizer(tiny_model), "tiny", out)
    return TokenShards.open(out)


def batches(packer: Packer, epoch: int = 0, rows_a_batch: int = 3) -> list[Batch]:
    rows = [packer.batch(pieces) for pieces in packer.sequences(epoch)]
    return [Batch.join(rows[start : start + rows_a_batch]) for start in range(0, len(rows), rows_a_batch)]


def documents_of(batch: Batch) -> list[tuple[int, ...]]:
    """The documents in a batch, put together again from inputs and targets."""
    ends = np.cumsum(batch.lengths)
    return [
        (*batch.tokens_N[end - length : end].tolist(), int(batch.targets_N[end - 1]))
        for length, end in zip(batch.lengths, ends, strict=True)
    ]


# 512 holds every document whole; 64 has to cut all of them, 300 some.
@pytest.mark.parametrize("sequence_length", [64, 300, 512])
def test_unpacking_an_epoch_gives_every_document_once_and_whole(shards: TokenShards, sequence_length: int) -> None:
    packer = Packer(shards, sequence_length, "document", SEED)
    pieces = [piece for batch in batches(packer) for piece in documents_of(batch)]
    whole = Counter(tuple(document.tolist()) for document in shards)
    longest = max(map(len, whole))
    if longest <= sequence_length + 1:
        assert Counter(pieces) == whole
    # pieces of a document share one token: each prediction is made exactly once
    assert sum(len(piece) - 1 for piece in pieces) == sum(len(document) - 1 for document in shards)
    bigrams = Counter(pair for piece in pieces for pair in pairwise(piece))
    assert bigrams == Counter(pair for text in whole.elements() for pair in pairwise(text))


@pytest.mark.parametrize("sequence_length", [64, 512])
def test_the_packed_stream_predicts_every_token_but_the_first_once(shards: TokenShards, sequence_length: int) -> None:
    packer = Packer(shards, sequence_length, "packed", SEED)
    targets: Counter[int] = Counter()
    for batch in batches(packer):
        targets.update(batch.targets_N.tolist())
    expected = Counter(np.concatenate(list(shards)).tolist())
    bos = shards.manifest["tokenizer"]["bos_id"]
    expected[bos] -= 1
    assert targets == expected


def test_a_packed_row_goes_on_where_the_one_before_it_ends(shards: TokenShards) -> None:
    packer = Packer(shards, 64, "packed", SEED)
    rows = packer.sequences(0)
    last_tokens = Counter(int(shards.tokens(*row[-1])[-1]) for row in rows)
    first_tokens = Counter(int(shards.tokens(*row[0])[0]) for row in rows)
    # every row begins with the token that another row ends with, but for the beginning and the end of the stream
    assert sum((first_tokens - last_tokens).values()) <= 1


@pytest.mark.parametrize("attention", ["document", "packed"])
def test_positions_restart_and_no_token_is_padding(shards: TokenShards, attention: Attention) -> None:
    packer = Packer(shards, 300, attention, SEED)
    for batch in batches(packer):
        expected = np.concatenate([np.arange(length) for length in batch.lengths])
        assert (batch.positions_N == expected).all()
        assert len(batch.tokens_N) == len(batch.targets_N) == sum(batch.lengths)
    # what attends to itself is a document, or the whole of a row
    rows = packer.sequences(0)
    parts = [packer.lengths(row) for row in rows]
    assert all(
        len(lengths) == (1 if attention == "packed" else len(row)) for row, lengths in zip(rows, parts, strict=True)
    )


def test_rows_are_nearly_full_when_documents_are_short(shards: TokenShards) -> None:
    rows = Packer(shards, 2048, "document", SEED).sequences(0)
    used = sum(piece.stop - piece.start - 1 for row in rows for piece in row)
    assert used / (2048 * (len(rows) - 1)) > 0.9


def test_the_order_depends_on_seed_and_epoch_alone(shards: TokenShards) -> None:
    first = Packer(shards, 128, "document", SEED).sequences(0)
    assert first == Packer(shards, 128, "document", SEED).sequences(0)
    assert first != Packer(shards, 128, "document", SEED).sequences(1)
    assert first != Packer(shards, 128, "document", SEED + 1).sequences(0)
