"""What a system made of the test documents, method by method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The methods, by the names that their metrics begin with. `full` is TF-IDF taught by all labelled training documents: alone, or
# together with a model's best trained method.
RULES, WORDS, FULL, PROBED, FINE_TUNED, ZERO_SHOT = "rules", "words", "full", "probe", "head", "zero_shot"


@dataclass(frozen=True)
class Prediction:
    """The categories that a method gives to N texts, of C.

    Attributes:
        predicted_N: the number of each text's one category.
        probability_N: of that category; None where the method knows no probabilities.
        all_NC: bool, all categories that a text is given; None where the method gives one only.
    """

    predicted_N: np.ndarray
    probability_N: np.ndarray | None = None
    all_NC: np.ndarray | None = None

    @classmethod
    def of_probabilities(cls, probabilities_NC: np.ndarray, all_NC: np.ndarray | None = None) -> Prediction:
        """Take the likeliest category of each text."""
        return cls(probabilities_NC.argmax(-1), probabilities_NC.max(-1), all_NC)

    def record(self, index: int, labels: tuple[str, ...]) -> dict[str, Any]:
        """What is kept of one text: `label`, `probability` and `labels`, the last two where there are any."""
        record: dict[str, Any] = {"label": labels[int(self.predicted_N[index])]}
        if self.probability_N is not None:
            record["probability"] = round(float(self.probability_N[index]), 6)
        if self.all_NC is not None:
            record["labels"] = [label for label, given in zip(labels, self.all_NC[index], strict=True) if given]
        return record


@dataclass
class Outcome:
    """What a system made of the test documents.

    Attributes:
        predictions: by method; those of `ZERO_SHOT` may be of fewer texts, the first.
        main: the one method of a baseline, the trained method of a model that is better on training documents kept back, or None.
        details: by method, how it was trained, JSON.
        left_out: why there are no predictions, or "".
    """

    predictions: dict[str, Prediction]
    main: str | None = None
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: str = ""
