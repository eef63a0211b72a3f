"""How many abstracts a second are embedded, in four ways: `python benchmarks/embed.py [FILE]`.

`ours` lays abstracts of similar length end to end, without padding. `sorted` and `unsorted` run transformers' own forward
pass on batches padded to their longest abstract, in the order of length and as they come. `sentence-transformers` runs
the same folder as Transformer and Pooling modules; it sorts by length itself, and its tokenizer puts no BOS before a
text, where the other ways put one and leave it out of the mean.

Every way embeds the same sample of the documents, in turns, for several rounds; a ratio is taken within a round, of
documents a second and of processor time, which a busy machine changes less. The vectors of the padded ways must be
those of `ours`. With `--all`, `ours` then embeds all documents, once: more than an hour for 10,000 on two cores. Without a
file the built-in sample is used.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from _training import passive_threads, table
from astrollama.corpus.clean import repair
from astrollama.provenance import hardware, versions
from astrollama.records import Paper
from astrollama.sources.files import FileSource
from astrollama.sources.sample import SAMPLE

LEAST_COSINE = 0.9999
PADDED = ("sorted", "unsorted")

Way = Callable[[Sequence[str]], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--documents", type=int, default=10_000, help="abstracts, drawn at random")
    parser.add_argument("--sample", type=int, default=256, help="of these, for the comparison")
    parser.add_argument("--all", action="store_true", help="embed all documents by ours as well")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32, help="of the padded ways and sentence-transformers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    passive_threads()
    texts = draw_texts(options.file, options.documents, options.seed)
    result = measure(texts, options.model, options.sample, options.rounds, options.batch_size, embed_all=options.all)
    print(json.dumps(result, indent=2))
    print(table([{"way": name, **way} for name, way in result["ways"].items()]))
    different = [name for name in PADDED if result["ways"][name]["least cosine with ours"] < LEAST_COSINE]
    if different:
        sys.exit(f"error: {different[0]} gives other vectors than ours")


def measure(
    texts: list[str], model: str, sample: int, rounds: int, batch_size: int, *, embed_all: bool
) -> dict[str, Any]:
    import torch

    from astrollama.backends.hf import HFLanguageModel
    from astrollama.models.load import load_model
    from astrollama.models.registry import find_model

    loaded = load_model(model)
    ways: dict[str, Way] = {
        "ours": HFLanguageModel(loaded).embed,
        "sorted": lambda texts: padded(loaded, texts, batch_size, by_length=True),
        "unsorted": lambda texts: padded(loaded, texts, batch_size, by_length=False),
        "sentence-transformers": sentence_transformers(find_model(model).path, batch_size),
    }
    chosen = texts[:sample]
    for way in ways.values():
        way(chosen[:4])
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, np.ndarray] = {}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            started, used = time.monotonic(), time.process_time()
            vectors[name] = ways[name](chosen)
            speeds[name].append(len(chosen) / (time.monotonic() - started))
            processor[name].append(time.process_time() - used)
            print(f"round {number + 1}: {name} {speeds[name][-1]:.2f} documents/s", file=sys.stderr, flush=True)
    lengths = [len(tokens) + 1 for tokens in loaded.tokenizer.encode(chosen)]
    padding = {
        "ours": "0%",
        "sorted": f"{padded_share(sorted(lengths), batch_size):.0%}",
        "unsorted": f"{padded_share(lengths, batch_size):.0%}",
    }
    return {
        "documents": len(texts),
        "all": time_all(ways["ours"], texts) if embed_all else None,
        "sample": len(chosen),
        "tokens_a_document": round(statistics.mean(lengths), 1),
        "batch_size": batch_size,
        "rounds": rounds,
        "ways": {name: row(name, speeds, processor, vectors) | {"padding": padding.get(name, "-")} for name in ways},
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "hardware": hardware(),
    }


def time_all(way: Way, texts: list[str]) -> dict[str, float]:
    started, used = time.monotonic(), time.process_time()
    way(texts)
    seconds, processor_seconds = time.monotonic() - started, time.process_time() - used
    return {
        "minutes": round(seconds / 60, 1),
        "processor_minutes": round(processor_seconds / 60, 1),
        "documents_per_second": round(len(texts) / seconds, 2),
    }


def row(
    name: str, speeds: dict[str, list[float]], processor: dict[str, list[float]], vectors: dict[str, np.ndarray]
) -> dict[str, Any]:
    faster = [ours / own for ours, own in zip(speeds["ours"], speeds[name], strict=True)]
    cheaper = [own / ours for ours, own in zip(processor["ours"], processor[name], strict=True)]
    return {
        "documents/s": round(statistics.median(speeds[name]), 2),
        "ours is faster by": round(statistics.median(faster), 2),
        "in rounds": " ".join(f"{ratio:.2f}" for ratio in faster),
        "processor time to ours": round(statistics.median(cheaper), 2),
        "least cosine with ours": round(least_cosine(vectors["ours"], vectors[name]), 6),
    }


def padded(loaded: Any, texts: Sequence[str], batch_size: int, *, by_length: bool) -> np.ndarray:
    """The mean of the last hidden states, BOS and padding left out, of batches as transformers users make them."""
    import torch

    tokenizer, model = loaded.tokenizer, loaded.model
    rows = [[tokenizer.bos_id, *tokens] for tokens in tokenizer.encode(texts)]
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number])) if by_length else range(len(rows))
    vectors_ND = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            batch = list(order[start : start + batch_size])
            longest = max(len(rows[number]) for number in batch)
            tokens_BT = torch.full((len(batch), longest), tokenizer.eos_id)
            mask_BT = torch.zeros((len(batch), longest), dtype=torch.long)
            for place, number in enumerate(batch):
                tokens_BT[place, : len(rows[number])] = torch.tensor(rows[number])
                mask_BT[place, : len(rows[number])] = 1
            states_BTD = model.model(tokens_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
            mask_BT[:, 0] = 0
            sums_BD = (states_BTD * mask_BT[..., None]).sum(1)
            vectors_ND[batch] = (sums_BD / mask_BT.sum(1, keepdim=True)).numpy()
    return vectors_ND


def sentence_transformers(folder: Path, batch_size: int) -> Way:
    from astrollama.models.quiet import quiet_libraries

    with quiet_libraries():
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        transformer = Transformer(str(folder))
        pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
        encoder = SentenceTransformer(modules=[transformer, pooling], device="cpu")

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = encoder.encode(list(texts), batch_size=batch_size, show_progress_bar=False)
        return vectors

    return encode


def padded_share(lengths: Sequence[int], batch_size: int) -> float:
    """Padding among all tokens of batches in this order."""
    batches = [lengths[start : start + batch_size] for start in range(0, len(lengths), batch_size)]
    return 1 - sum(lengths) / sum(len(batch) * max(batch) for batch in batches)


def least_cosine(first_ND: np.ndarray, second_ND: np.ndarray) -> float:
    lengths_N = np.linalg.norm(first_ND, axis=1) * np.linalg.norm(second_ND, axis=1)
    return float(((first_ND * second_ND).sum(1) / lengths_N).min())


def draw_texts(file: Path, num_documents: int, seed: int) -> list[str]:
    papers = FileSource([file], on_error="skip").papers()
    texts = [text for paper in papers if isinstance(paper, Paper) and (text := repair(paper.abstract or ""))]
    order = np.random.default_rng(seed).permutation(len(texts))[:num_documents]
    return [texts[number] for number in order.tolist()]


if __name__ == "__main__":
    main()
