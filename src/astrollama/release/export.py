"""A trained model in the formats that people use: written, read back, compared with what was trained, and only then kept.

Everything is written into a hidden folder within the output. What parity rejects goes with that folder, and the output
gets its files, their hashes and its manifest only after all of it was accepted.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from astrollama.console import say
from astrollama.errors import AstroLlamaError, ModelError, UserInputError
from astrollama.files import TEMPORARY_PREFIX, atomic_path, write_json, write_text
from astrollama.models.convert import convert_gguf
from astrollama.models.folder import read_base_record, read_encoder_record
from astrollama.models.history import keep_history
from astrollama.models.load import load_model
from astrollama.models.merge import base_of, run_manifest, write_merged
from astrollama.models.packaged import PACKAGED_MODELS
from astrollama.models.registry import ModelFolder, find_model, model_digest
from astrollama.release.adapter import KINDS, compare_adapters, compare_low_rank, copy_adapter, write_low_rank
from astrollama.release.encoder import write_encoder
from astrollama.release.exported import EXPORT_STAGE
from astrollama.release.gguf_file import stored_shapes, write_gguf
from astrollama.release.gguf_quantisation import DEFAULT_QUANTISATIONS, QUANTISATIONS, storage_type
from astrollama.release.gguf_settings import Origin, require_exportable
from astrollama.release.gguf_tensors import gguf_name
from astrollama.release.hf_folder import write_hf
from astrollama.release.parity import COST, EXACT, HALF, ROUNDED_ACTIVATIONS, Observation, compare, observe
from astrollama.release.parity_engines import FolderEngine, SourceEngine
from astrollama.release.parity_llama_cpp import INSTALL, missing, open_llama_cpp
from astrollama.release.parity_probe import Probe, Texts, make_probe, read_texts
from astrollama.release.parity_tensors import compare_tensors
from astrollama.runs import read_manifest, refuse_inside, stage_directory
from astrollama.tokens.shards import INDEX
from astrollama.tokens.tokenizer import DocumentTokenizer

PARITY = "parity.json"
HASHES = "SHA256SUMS"
Format = Literal["hf", "adapter", "gguf"]
Dtype = Literal["float32", "float16", "bfloat16"]
_CONTENT = "export"
_DISPOSABLE = [_CONTENT, "*.json", "*.safetensors", "*.gguf", "*.jinja", "*.model", HASHES, INDEX]
_TOLERANCES = {"float32": EXACT, "float16": HALF, "bfloat16": COST}


@dataclass(frozen=True)
class ExportSettings:
    """What to write.

    Attributes:
        dtype: of the weights of the formats `hf` and `adapter`.
        rank: for the format `adapter`: of the difference of a fully trained model to its base; 0 takes the adapter that the
            model is.
        quantisations: the files of the format `gguf`.
    """

    format: Format
    dtype: Dtype = "float32"
    rank: int = 0
    quantisations: tuple[str, ...] = DEFAULT_QUANTISATIONS


@dataclass(frozen=True)
class _Source:
    """The model that is exported, what it was asked, and what it answered.

    Attributes:
        base: where its base is now, if not where it was in training.
        recorded: {name, digest} of the base that it was trained from, or None.
    """

    found: ModelFolder
    base: str | None
    recorded: dict[str, str] | None
    origin: Origin
    config: Any
    tokenizer: DocumentTokenizer
    probe: Probe
    observation: Observation


def export(
    model: str, out: Path, settings: ExportSettings, base: str | None = None, corpus: Path | None = None
) -> dict[str, Any]:
    """Write a model to `out` and prove it equal to its source.

    Args:
        model: whatever `find_model` takes.
        base: of an adapter or a fully trained model, where its base is now, if not where it was in training.
        corpus: whose held-out documents to compare on, instead of the built-in sample.

    Returns:
        The manifest. Where `out` holds this very export already, nothing is done.

    Raises:
        AstroLlamaError: what was written is not the model, and was deleted.
        ModelError: the model cannot be had, or the format has no place for it.
        RunError: `out` holds something else, or `corpus` is none.
    """
    found = find_model(model)
    refuse_inside(out, [Path(found.name), *([] if base is None else [Path(base)])])
    _require_format_fits(found, settings)
    texts = read_texts(corpus)
    identity = {
        "model": model_digest(found),
        "format": settings.format,
        "dtype": settings.dtype,
        "rank": settings.rank,
        "quantisations": list(settings.quantisations) if settings.format == "gguf" else None,
        "texts": texts.digest,
        "base": base_of(found, base)[1] if settings.rank else None,
    }
    with stage_directory(out, EXPORT_STAGE, identity, disposable=_DISPOSABLE) as stage:
        if stage.state == "complete":
            say(f"{out}: the export is already there")
            return read_manifest(out, EXPORT_STAGE)
        with atomic_path(out / _CONTENT) as work:
            work.mkdir()
            recorded, parity = _write(found, base, texts, settings, work, out.resolve().name)
            write_json(work / PARITY, parity)
            keep_history(found.place, work)
        names = sorted(path.name for path in (out / _CONTENT).iterdir())
        for name in names:
            (out / _CONTENT / name).replace(out / name)
        (out / _CONTENT).rmdir()
        records = stage.records(names)
        write_text(out / HASHES, "".join(f"{records[name]['sha256']}  {name}\n" for name in names))
        return stage.finish(
            [*names, HASHES],
            {"files": len(names), "bytes": sum(record["bytes"] for record in records.values())},
            model={"name": found.name, "digest": identity["model"]},
            base=recorded,
            format=settings.format,
            parity=parity,
        )


def _write(
    found: ModelFolder, base: str | None, texts: Texts, settings: ExportSettings, work: Path, name: str
) -> tuple[dict[str, str] | None, dict[str, Any]]:
    """Write the files of an export into `work`; returns the record of the model's base, or None, and parity's report."""
    told = {"texts": {"source": texts.source, "number": len(texts.texts)}}
    if read_encoder_record(found.path) is not None:
        checks, wrong = write_encoder(found, base, texts, settings.dtype, work)
        _require(wrong, "the exported encoder")
        return read_base_record(found.path).to_json(), told | {"checks": checks}
    source = _ask_source(found, base, texts, name)
    checks = _WRITERS[settings.format](source, settings, work)
    of_source = {"engine": source.observation.engine, "perplexity": source.observation.perplexity}
    return source.recorded, told | {"source": of_source, "checks": checks}


def _require_format_fits(found: ModelFolder, settings: ExportSettings) -> None:
    if settings.format != "adapter" and read_encoder_record(found.path) is not None:
        raise ModelError(f"{found.name} is an encoder and continues no text", "export it with --format adapter")
    if settings.format == "adapter" and found.kind == "model" and not settings.rank:
        raise UserInputError(
            f"{found.name} is no adapter but a whole model",
            "give --rank to export its difference to its base as an adapter of that rank, or --format hf",
        )
    if settings.format == "adapter" and found.kind == "adapter" and settings.rank:
        raise UserInputError(f"{found.name} is an adapter and has a rank", "leave --rank out")


def _ask_source(found: ModelFolder, base: str | None, texts: Texts, name: str) -> _Source:
    loaded = load_model(found.name, base=base)
    config = loaded.model.config
    probe = make_probe(texts.texts, loaded.tokenizer, config.max_position_embeddings)
    observation = observe(SourceEngine(loaded), probe, "the source")
    recorded = read_base_record(found.path).to_json() if found.kind == "adapter" else run_manifest(found).get("base")
    base_name = recorded["name"] if recorded else ""
    packaged = PACKAGED_MODELS.get(base_name or found.name)
    origin = Origin(name, loaded.digest, Path(base_name).name, packaged.licence if packaged else "")
    return _Source(found, base, recorded, origin, config, loaded.tokenizer, probe, observation)


def _write_hf(source: _Source, settings: ExportSettings, work: Path) -> dict[str, Any]:
    with _whole(source, work) as whole:
        write_hf(whole, work, settings.dtype, source.tokenizer)
        names = list(stored_shapes(whole, source.config))
        tensors, wrong = compare_tensors(whole, work, names, lambda _: KINDS[settings.dtype])
    _require(wrong, "the exported folder")
    seen = observe(FolderEngine(work), source.probe, "the exported folder")
    figures, wrong = compare(source.observation, seen, _TOLERANCES[settings.dtype])
    _require(wrong, "the exported folder")
    return {"folder": {"tensors": tensors, "transformers": figures}}


def _write_adapter(source: _Source, settings: ExportSettings, work: Path) -> dict[str, Any]:
    if source.found.kind == "model":
        return _write_low_rank(source, settings, work)
    copy_adapter(source.found.path, work, settings.dtype)
    tensors, wrong = compare_adapters(source.found.path, work, settings.dtype)
    _require(wrong, "the exported adapter")
    seen = observe(SourceEngine(load_model(str(work), base=source.base)), source.probe, "the exported adapter")
    figures, wrong = compare(source.observation, seen, _TOLERANCES[settings.dtype])
    _require(wrong, "the exported adapter")
    return {"adapter": {"tensors": tensors, "transformers": figures}}


def _write_low_rank(source: _Source, settings: ExportSettings, work: Path) -> dict[str, Any]:
    on, _ = base_of(source.found, source.base)
    base = load_model(on.name)
    untrained = observe(SourceEngine(base), source.probe, "the base", completions=False)
    folder = work / f"{TEMPORARY_PREFIX}adapter"
    low_rank = write_low_rank(source.found.path, base, on.path, folder, settings.rank, settings.dtype)
    for path in folder.iterdir():
        path.replace(work / path.name)
    folder.rmdir()
    told, wrong = compare_low_rank(source.found.path, on.path, work, low_rank, settings.dtype)
    _require(wrong, "the exported adapter")
    if low_rank.outside:
        say(
            f"what training changed outside the blocks' matrices is lost: {low_rank.outside:.1%} of the squared difference"
        )
    seen = observe(SourceEngine(load_model(str(work), base=on.name)), source.probe, "the exported adapter")
    figures, wrong = compare(source.observation, seen, COST)
    _require(wrong, "the exported adapter")
    return {"adapter": {"low_rank": told | {"base_perplexity": untrained.perplexity}, "transformers": figures}}


def _write_gguf(source: _Source, settings: ExportSettings, work: Path) -> dict[str, Any]:
    require_exportable(source.config)
    unavailable = missing()
    if unavailable:
        say(f"{unavailable}: transformers reads the files back, llama.cpp is not asked; to ask it, {INSTALL}")
    checks: dict[str, Any] = {}
    with _whole(source, work) as whole:
        for name in settings.quantisations:
            file = work / f"{source.origin.name}-{name}.gguf"
            write_gguf(whole, file, QUANTISATIONS[name], source.config, source.tokenizer, source.origin)
            checks[file.name], read_back = _read_back(source, whole, file, name)
            if unavailable:
                checks[file.name]["llama.cpp"] = {"not_asked": unavailable, "fix": INSTALL}
            else:
                checks[file.name]["llama.cpp"] = _ask_llama_cpp(source, read_back, file, name)
    return checks


def _read_back(source: _Source, whole: Path, file: Path, quantisation: str) -> tuple[dict[str, Any], Observation]:
    """A GGUF file in transformers, by the way that `find_model` reads one: figures, and what it answered."""
    shapes = stored_shapes(whole, source.config)
    chosen = QUANTISATIONS[quantisation]
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=TEMPORARY_PREFIX) as temporary:
        folder = Path(temporary) / "model"
        convert_gguf(file, folder)
        tensors, wrong = compare_tensors(
            whole, folder, list(shapes), lambda name: storage_type(chosen, gguf_name(name), shapes[name])
        )
        _require(wrong, file.name)
        seen = observe(SourceEngine(load_model(str(folder))), source.probe, f"{file.name} in transformers")
    figures, wrong = compare(source.observation, seen, HALF if chosen.keeps_weights else COST)
    _require(wrong, f"{file.name}, read back by transformers,")
    return {"tensors": tensors, "transformers": figures}, seen


def _ask_llama_cpp(source: _Source, read_back: Observation, file: Path, quantisation: str) -> dict[str, Any]:
    """A GGUF file in llama.cpp, against the source and against the same rounded weights in transformers."""
    with open_llama_cpp(file, source.probe.longest) as engine:
        seen = observe(engine, source.probe, f"{file.name} in llama.cpp")
    keeps = QUANTISATIONS[quantisation].keeps_weights
    figures, wrong = compare(source.observation, seen, HALF if keeps else COST)
    # how far its own rounding goes; with 8 and 4 bits it rounds so much that completions part
    rounds = HALF if keeps else ROUNDED_ACTIVATIONS
    same, of_same = compare(read_back, seen if keeps else replace(seen, completions=[]), rounds)
    figures["against_transformers"] = {key: same[key] for key in ("logits", "perplexity", "greedy") if key in same}
    _require(wrong + of_same, f"{file.name} in llama.cpp")
    return figures


@contextmanager
def _whole(source: _Source, work: Path) -> Iterator[Path]:
    """The folder of the whole model: its own, or that of an adapter merged into its base, for the block."""
    if source.found.kind == "model":
        yield source.found.path
        return
    gc.collect()  # the loaded model is in reference cycles, and the merge needs as much memory again
    with tempfile.TemporaryDirectory(dir=work, prefix=TEMPORARY_PREFIX) as temporary:
        write_merged(source.found, source.base, Path(temporary) / "model")
        yield Path(temporary) / "model"


def _require(wrong: list[str], what: str) -> None:
    if wrong:
        raise AstroLlamaError(
            f"{what} is not the model that was exported ({'; '.join(wrong[:3])})",
            "the export was deleted: report it with the model's config.json and tokenizer.json",
        )


_WRITERS = {"hf": _write_hf, "adapter": _write_adapter, "gguf": _write_gguf}
