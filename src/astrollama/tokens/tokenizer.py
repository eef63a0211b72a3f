"""A tokenizer with the two tokens that stand around a document."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from astrollama.errors import ModelError


@dataclass(frozen=True)
class DocumentTokenizer:
    """Turns documents into tokens, BOS before and EOS after.

    The two are the same token in models that were pretrained with a single boundary between documents.
    """

    tokenizer: Any
    bos_id: int
    eos_id: int

    @classmethod
    def of(cls, tokenizer: Any, origin: str) -> DocumentTokenizer:
        """Wrap a Hugging Face tokenizer; one that has no BOS begins documents with its EOS.

        Truncation and padding that came with it are taken out: a document keeps every token.

        Args:
            origin: where it came from, for the message.

        Raises:
            ModelError: it has no EOS.
        """
        eos_id = tokenizer.eos_token_id
        if eos_id is None:
            raise ModelError(
                f"the tokenizer of {origin} has no end-of-sequence token", "set eos_token in its tokenizer_config.json"
            )
        bos_id = tokenizer.bos_token_id
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        return cls(tokenizer, eos_id if bos_id is None else bos_id, eos_id)

    @property
    def vocab_size(self) -> int:
        """Tokens that the tokenizer knows, added ones included."""
        return len(self.tokenizer)

    @property
    def digest(self) -> str:
        """The SHA-256 of everything that decides which tokens a document becomes, in hex."""
        state = f"{self.bos_id} {self.eos_id} {self.tokenizer.backend_tokenizer.to_str()}"
        return hashlib.sha256(state.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text alone, without BOS and EOS; text that spells a special token stays text."""
        if not texts:
            return []
        return self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]  # type: ignore[no-any-return]

    def encode_documents(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text between BOS and EOS."""
        return [[self.bos_id, *tokens, self.eos_id] for tokens in self.encode(texts)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special tokens leave none."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)  # type: ignore[no-any-return]
