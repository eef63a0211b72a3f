from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrollama.backends.costs import CostCeiling
from astrollama.backends.openai_http import (
    TEXTS_A_CALL,
    open_embeddings,
)
from astrollama.errors import (
    NetworkError,
    UnsupportedError,
    UserInputError,
)
from astrollama.evaluation.vectors import VectorCache
from tests.backends.api_calls import encoder_of, kept_files, settings
from tests.backends.openai_server import (
    Act,
    answering,
    embeddings,
    serve,
    vector_of,
)

pytestmark = pytest.mark.usefixtures("own_cache_and_quick_pauses")


def test_vectors_come_in_the_order_of_the_texts() -> None:
    texts = [f"Text {number} of many." for number in range(2 * TEXTS_A_CALL + 3)]
    texts += texts[:2]
    with serve() as server:
        encoder = encoder_of(server)
        vectors_ND = encoder.embed(texts)
        assert sorted(len(body["input"]) for body in server.bodies) == [3, TEXTS_A_CALL, TEXTS_A_CALL]
        assert vectors_ND.dtype == np.float32
        np.testing.assert_array_equal(vectors_ND, np.stack([vector_of(text) for text in texts]))
        np.testing.assert_array_equal(encoder_of(server).embed(texts[5:9]), vectors_ND[5:9])
        assert len(server.bodies) == 3
    assert encoder.abilities == {"embed"}


def test_the_cache_of_vectors_keeps_all_workers_busy(tmp_path: Path) -> None:
    workers = 3
    with serve() as server:
        server.delay = 0.2
        encoder = open_embeddings("gpt-x", settings(server, workers=workers), CostCeiling(1.0))
        texts = [f"Text {number}." for number in range(workers * TEXTS_A_CALL)]
        VectorCache(tmp_path / "vectors.sqlite", "one").embed(encoder, texts, "mean")
        assert [len(body["input"]) for body in server.bodies] == [TEXTS_A_CALL] * workers
        assert server.most_at_once == workers


def test_numbers_are_as_good_as_base64() -> None:
    def as_numbers(body: dict[str, Any]) -> dict[str, Any]:
        data = [{"index": n, "embedding": vector_of(text).tolist()} for n, text in enumerate(body["input"])]
        return {"model": "m", "data": data}

    with serve(answering(as_numbers)) as server:
        np.testing.assert_array_equal(encoder_of(server).embed(["one", "two"]), [vector_of("one"), vector_of("two")])


def test_large_texts_go_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrollama.backends.openai_http.BYTES_A_CALL", 1000)
    texts = ["a" * 600, "b" * 300, "c" * 300, "d" * 2000, "e"]
    with serve() as server:
        encoder_of(server).embed(texts)
    assert sorted([text[0] for text in body["input"]] for body in server.bodies) == [["a", "b"], ["c"], ["d"], ["e"]]


def test_what_an_api_cannot_embed_is_told_before_it_is_asked() -> None:
    with serve() as server:
        with pytest.raises(UnsupportedError, match="gpt-x cannot pool by 'last'"):
            encoder_of(server).embed(["A text."], pooling="last")
        with pytest.raises(UserInputError, match="a text for gpt-x is empty"):
            encoder_of(server).embed(["A text.", "  "])
    assert server.bodies == []


def _edited(change: Callable[[list[dict[str, Any]]], object]) -> Act:
    def edit(body: dict[str, Any]) -> dict[str, Any]:
        answer = embeddings(body)
        change(answer["data"])
        return answer

    return answering(edit)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data.pop(), "1 vectors for 2 texts"),
        (lambda data: data.append(data[0]), "3 vectors for 2 texts"),
        (lambda data: data[0].pop("index"), "data without index"),
        (lambda data: data[0].update(index=0), "2 vectors for 2 texts"),
        (lambda data: data[0].update(index=7), "2 vectors for 2 texts"),
        (lambda data: data[0].update(embedding="%%%"), "no vectors"),
        (lambda data: data[0].update(embedding=[1.0, 2.0]), "of different lengths"),
        (lambda data: [one.update(embedding=[]) for one in data], "empty"),
        (lambda data: data[0].update(embedding=[float("nan")] * 8), "not finite"),
        (lambda data: data[0].update(embedding=[[1.0]]), "no vectors"),
    ],
)
def test_vectors_that_are_none_are_told_and_not_kept(
    change: Callable[[list[dict[str, Any]]], object], told: str, tmp_path: Path
) -> None:
    with serve(_edited(change)) as server:
        with pytest.raises(NetworkError) as caught:
            encoder_of(server).embed(["one", "two"])
        assert len(server.bodies) == 1
    assert told in str(caught.value)
    assert kept_files(tmp_path) == []


def test_vectors_of_another_length_than_before_are_told() -> None:
    with serve() as server:
        encoder_of(server).embed(["one"])
        server.acts = [answering(lambda _: {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})]
        with pytest.raises(NetworkError, match="vectors of different lengths"):
            encoder_of(server).embed(["one", "two"])
