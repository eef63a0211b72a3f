"""What is wrong with a paper: the errors that end its conversion, and notes on what could not be understood."""

from __future__ import annotations

_MAX_NAMES = 20  # kept of each kind
_MAX_NAME_CHARACTERS = 60


class ConversionError(Exception):
    """A paper cannot be converted.

    Args:
        reason: what stopped it, the same for every paper that it stops.
        detail: what is particular to this paper.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({shortened(detail)})" if detail else reason)
        self.reason = reason


class NoTexError(ConversionError):
    """A package holds no TeX: a PDF, a withdrawn paper."""


class Problems:
    """Notes by kind, each with the names that it is about: `missing file: a, b`."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}

    def note(self, kind: str, name: str = "") -> None:
        """Keep a note; a kind and a name are kept once."""
        names = self._names.setdefault(kind, {})
        if name and len(names) < _MAX_NAMES:
            names.setdefault(shortened(name))

    @property
    def kinds(self) -> list[str]:
        """The kinds, in the order met."""
        return list(self._names)

    def __str__(self) -> str:
        return "; ".join(f"{kind}: {', '.join(names)}" if names else kind for kind, names in self._names.items())


def shortened(text: str) -> str:
    """A name from a paper, on one line and cut where it is long."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:1000]).split())
    return text if len(text) <= _MAX_NAME_CHARACTERS else f"{text[: _MAX_NAME_CHARACTERS - 1]}…"
