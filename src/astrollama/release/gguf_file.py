"""A model folder to a GGUF file, tensor by tensor, so that no more than one is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from astrollama.console import track
from astrollama.errors import ModelError
from astrollama.models.folder import tensor_shapes
from astrollama.models.gguf_header import ROPE_FACTORS
from astrollama.release.gguf_quantisation import Quantisation, storage_type
from astrollama.release.gguf_settings import Origin, add_settings, rope_factors
from astrollama.release.gguf_tensors import gguf_name, gguf_rows
from astrollama.release.gguf_tokenizer import add_vocabulary, vocabulary
from astrollama.release.parity_tensors import read_tensor
from astrollama.tokens.tokenizer import DocumentTokenizer


def write_gguf(
    source: Path, file: Path, quantisation: Quantisation, config: Any, tokenizer: DocumentTokenizer, origin: Origin
) -> None:
    """Write the GGUF file of a whole model.

    Args:
        source: the model's folder; `config` and `tokenizer` are its own.

    Raises:
        ModelError: its tokenizer or its tensors have no place in such a file, or a value is too large for half precision.
    """
    import gguf

    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("model")
    writer.add_file_type(int(gguf.LlamaFileType[quantisation.file_type]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_settings(writer, config, origin)
    add_vocabulary(writer, vocabulary(tokenizer, config.vocab_size), tokenizer)
    factors_F = rope_factors(config)
    if factors_F is not None:
        writer.add_tensor_info(ROPE_FACTORS, factors_F.shape, factors_F.dtype, factors_F.nbytes)
    shapes = stored_shapes(source, config)
    kinds = {name: storage_type(quantisation, gguf_name(name), shape) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        _announce(writer, gguf_name(name), shape, kinds[name])
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors_F is not None:
            writer.write_tensor_data(factors_F)
        for name in track(shapes, f"writing {file.name}", len(shapes), every=1):
            weights = gguf_rows(name, read_tensor(source, name), config)
            writer.write_tensor_data(_stored(weights, kinds[name], name))
    finally:
        writer.close()


def stored_shapes(source: Path, config: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that a file needs: a head that is tied to the embeddings is left out."""
    shapes = tensor_shapes(source)
    return {name: shapes[name] for name in shapes if not (name == "lm_head.weight" and config.tie_word_embeddings)}


def _announce(writer: Any, name: str, shape: tuple[int, ...], kind: str) -> None:
    """Tell the size of a tensor, which comes later."""
    from gguf import GGMLQuantizationType
    from gguf.quants import quant_shape_to_byte_shape

    if kind in ("F32", "F16"):
        dtype = np.dtype(np.float32 if kind == "F32" else np.float16)
        writer.add_tensor_info(name, shape, dtype, int(np.prod(shape)) * dtype.itemsize)
        return
    quantised = GGMLQuantizationType[kind]
    in_bytes = quant_shape_to_byte_shape(shape, quantised)
    writer.add_tensor_info(name, in_bytes, np.dtype(np.uint8), int(np.prod(in_bytes)), raw_dtype=quantised)


def _stored(weights: np.ndarray, kind: str, name: str) -> np.ndarray:
    from gguf import GGMLQuantizationType, quants

    with np.errstate(over="ignore"):
        stored: np.ndarray = quants.quantize(np.ascontiguousarray(weights), GGMLQuantizationType[kind])
    if kind == "F16" and not np.isfinite(stored).all():
        raise ModelError(f"{name} has values that half precision cannot hold", "export the model with --format hf")
    return stored
