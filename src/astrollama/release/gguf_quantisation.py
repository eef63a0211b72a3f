"""How a GGUF file stores weights.

The package gguf writes the simple formats of 32 values a block, Q8_0 and the Q4s; the K formats, which llama.cpp's own
tools write, it can only read. Norms stay in float32. In the Q4 files embeddings and head are Q8_0, as llama.cpp keeps them
finer, too: every token passes through them once as input and once as output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from astrollama.errors import UserInputError
from astrollama.release.parity_rounding import BLOCK, F16, F32


@dataclass(frozen=True)
class Quantisation:
    """A kind of GGUF file.

    Attributes:
        blocks: the type of the matrices of the blocks, as gguf calls it.
        tables: the type of embeddings and head.
        file_type: the name of llama.cpp's number for it.
    """

    name: str
    blocks: str
    tables: str
    file_type: str

    @property
    def keeps_weights(self) -> bool:
        """Whether the model is to be the same, and not only cheaper."""
        return self.blocks == F16


QUANTISATIONS = {
    "f16": Quantisation("f16", F16, F16, "MOSTLY_F16"),
    "q8_0": Quantisation("q8_0", "Q8_0", "Q8_0", "MOSTLY_Q8_0"),
    "q4_0": Quantisation("q4_0", "Q4_0", "Q8_0", "MOSTLY_Q4_0"),
    "q4_1": Quantisation("q4_1", "Q4_1", "Q8_0", "MOSTLY_Q4_1"),
}
DEFAULT_QUANTISATIONS = ("f16", "q8_0", "q4_1")


def parse_quantisations(text: str) -> tuple[str, ...]:
    """The names in `f16,q8_0`, each once.

    Raises:
        UserInputError: one is not known, or there is none.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in QUANTISATIONS]
    if unknown or not names:
        raise UserInputError(
            f"--quantization names {unknown[0]!r}" if unknown else "--quantization names nothing",
            f"choose from {', '.join(QUANTISATIONS)}; llama.cpp's llama-quantize makes others of the f16 file",
        )
    return names


def storage_type(quantisation: Quantisation, gguf_name: str, shape: Sequence[int]) -> str:
    """The type to store a tensor in: what has one dimension stays float32, and rows that no block fits are float16."""
    if len(shape) == 1:
        return F32
    wanted = quantisation.tables if gguf_name in ("token_embd.weight", "output.weight") else quantisation.blocks
    return wanted if wanted == F16 or shape[-1] % BLOCK == 0 else F16
