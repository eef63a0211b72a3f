"""The models that come with the package: what lies there, and what they do on their base."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from astrollama.backends.encoders import load_encoder
from astrollama.backends.hf import HFLanguageModel
from astrollama.cli.main import run
from astrollama.cli.opening import show_shipped_models
from astrollama.errors import NetworkError, RunError
from astrollama.evaluation.categories.classify import classify, find_head
from astrollama.evaluation.categories.heads import load_head, read_record
from astrollama.evaluation.subject import describe_subject, require_unseen
from astrollama.models.folder import ADAPTER_WEIGHTS, check_adapter, read_base_record, read_encoder_record
from astrollama.models.load import load_model
from astrollama.models.packaged import PACKAGED_MODELS
from astrollama.models.registry import find_model, list_models, model_digest, show_model
from astrollama.models.shipped import ENCODER, LANGUAGE_MODEL, SAMPLE_VECTORS, SHIPPED_MODELS
from astrollama.records import document_schema
from astrollama.search.embed import embed_texts
from astrollama.sources.sample import SAMPLE

MOST_BYTES = {LANGUAGE_MODEL: 25_000_000, ENCODER: 10_000_000}


@pytest.fixture(scope="module")
def papers() -> list[dict[str, Any]]:
    return [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def packaged_base() -> str:
    try:
        return find_model(read_base_record(SHIPPED_MODELS[LANGUAGE_MODEL].folder).name).name
    except NetworkError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_shipped_model_is_an_adapter_of_the_promised_size_that_names_no_place(name: str) -> None:
    folder = SHIPPED_MODELS[name].folder
    check_adapter(folder)
    assert (folder / ADAPTER_WEIGHTS).stat().st_size <= MOST_BYTES[name]
    for file in folder.rglob("*.json"):
        assert not re.search(r'"/\w', file.read_text(encoding="utf-8")), file
    trained_on = pq.read_table(folder / "documents.parquet").to_pydict()
    assert len(trained_on["id"]) > 30_000
    assert all(re.fullmatch("[0-9a-f]{64}", own) for own in trained_on["content_hash"])


def test_they_belong_together() -> None:
    language_model = model_digest(find_model(LANGUAGE_MODEL))
    assert read_base_record(find_model(LANGUAGE_MODEL).path).name in PACKAGED_MODELS
    assert read_base_record(find_model(ENCODER).path).to_json() == {"name": LANGUAGE_MODEL, "digest": language_model}
    assert read_encoder_record(find_model(ENCODER).path) is not None
    head = read_record(find_head(None))
    assert head["base"] == {"name": ENCODER, "digest": model_digest(find_model(ENCODER))}
    metadata = pq.read_schema(SHIPPED_MODELS[ENCODER].folder / SAMPLE_VECTORS).metadata
    assert metadata[b"digest"].decode() == model_digest(find_model(ENCODER))


def test_they_are_listed_and_described_before_their_base_is_there() -> None:
    listed = {model["name"]: model for model in list_models()}
    assert listed[LANGUAGE_MODEL]["pulled"]
    shown = show_model(LANGUAGE_MODEL)
    assert (shown["kind"], shown["licence"]) == ("adapter", "Apache-2.0")


def test_what_they_were_trained_on_is_no_held_out_paper(tmp_path: Path) -> None:
    trained_on = describe_subject(LANGUAGE_MODEL).trained_on
    assert trained_on is not None
    (known,) = pq.read_table(trained_on).slice(7, 1).to_pylist()
    schema = document_schema()
    record = dict.fromkeys(schema.names, "") | {"categories": [], "id": known["id"], "content_hash": "another"}
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist([record], schema=schema), tmp_path / "test.parquet")
    with pytest.raises(RunError, match=f"{LANGUAGE_MODEL} was trained on 1 of the documents"):
        require_unseen(tmp_path / "test.parquet", LANGUAGE_MODEL)


@pytest.mark.packaged_model
def test_a_beginning_is_continued_by_the_shipped_model(packaged_base: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["complete", "The magnetic field of the Milky Way", "--max-new-tokens", "12", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == LANGUAGE_MODEL
    assert len(told["continuation"].split()) >= 4


@pytest.mark.packaged_model
def test_the_opening_of_the_demo_says_what_its_numbers_are(
    packaged_base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_shipped_models(packaged_base)
    told = capsys.readouterr().err.splitlines()
    (heading,) = (number for number, line in enumerate(told) if "nearest to it among the sample's papers" in line)
    assert told[heading].endswith(f"by {ENCODER} (cosine, title):")
    assert all(re.fullmatch(r" +0\.\d\d  \S.*", line) for line in told[heading + 1 :])


@pytest.mark.packaged_model
def test_abstracts_are_likelier_than_under_the_base(packaged_base: str, papers: list[dict[str, Any]]) -> None:
    texts = [paper["abstract"] for paper in papers[:8]]
    base, adapted = (
        np.array([own.nll for own in HFLanguageModel(load_model(name)).loglikelihood_rolling(texts)])
        for name in (packaged_base, LANGUAGE_MODEL)
    )
    assert (adapted < base).all()
    assert adapted.sum() < 0.95 * base.sum()


@pytest.mark.packaged_model
def test_the_shipped_head_tells_categories(packaged_base: str, papers: list[dict[str, Any]]) -> None:
    chosen = papers[::20]
    found = classify(load_head(find_head(None)), [paper["abstract"] for paper in chosen], 1)
    right = sum(best.category == paper["categories"][0] for (best,), paper in zip(found, chosen, strict=True))
    assert right >= 8, f"of {len(chosen)}"


@pytest.mark.packaged_model
def test_titles_find_their_abstracts_by_the_vectors_that_come_along(
    packaged_base: str, papers: list[dict[str, Any]]
) -> None:
    encoder = load_encoder(ENCODER)
    table = pq.read_table(SHIPPED_MODELS[ENCODER].folder / SAMPLE_VECTORS)
    assert table["id"].to_pylist() == [paper["id"] for paper in papers]
    vectors_ND = np.stack(table["vector"].to_numpy()).astype(np.float32)
    again_ND = embed_texts(encoder, [paper["abstract"] for paper in papers[:3]])
    assert (vectors_ND[:3] * again_ND).sum(axis=1) == pytest.approx(1, abs=1e-3)
    chosen = range(0, len(papers), 8)
    cosines_QN = embed_texts(encoder, [papers[number]["title"] for number in chosen]) @ vectors_ND.T
    found = sum(int(row.argmax()) == number for row, number in zip(cosines_QN, chosen, strict=True))
    assert found >= 0.6 * len(chosen)
