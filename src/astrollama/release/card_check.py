"""Is a model card one that a hub takes? By huggingface_hub's own parser, without a network."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from astrollama.errors import RunError, UserInputError

CARD = "README.md"
HUB_ID = re.compile(r"(?!.*(?:--|\.\.))\w[\w.-]*/\w[\w.-]*(?<![.-])", re.ASCII)
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_NEEDED = {"license": str, "library_name": str, "tags": list}
_FIX = "mend it, or make it again with astrollama card"


def read_card(path: Path) -> Any:
    """The card in a file, parsed as the hub's client does.

    Raises:
        RunError: there is none.
        UserInputError: it is no UTF-8, or its header is no YAML, or describes evaluations otherwise than a `model-index` does.
    """
    if not path.is_file():
        raise RunError(f"{path} is missing", "make the model's card first: astrollama card")
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise _refused(str(path), f"it is no UTF-8 text ({error})") from error


def check_card(text: str, where: str) -> None:
    """Make sure that a card says what a card must, and that its metrics survive being read and written.

    The hub knows lists of its own, such as of licences: it is asked once more before an upload.

    Args:
        where: the file that the text is in or goes to.

    Raises:
        UserInputError: the card does not pass; the message says why.
    """
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    card = _parse(text, where)
    data = card.data
    if not data.license and not data.tags and not data.library_name:
        raise _refused(where, "it has no header between two lines of ---")
    for key, kind in _NEEDED.items():
        if not isinstance(data.get(key), kind) or not data.get(key):
            raise _refused(where, f"its header has no {key}")
    if not _LICENCE.fullmatch(data.license):
        raise _refused(where, f"its license is {data.license!r}, which is no name of a licence on the hub")
    if data.license == "other" and not data.get("license_name"):
        raise _refused(where, "its license is other, and no license_name says which")
    bases = data.base_model if isinstance(data.base_model, list) else [data.base_model] if data.base_model else []
    for base in bases:
        if not isinstance(base, str) or not HUB_ID.fullmatch(base):
            raise _refused(where, f"its base_model {base!r} is no name on a hub, which is OWNER/NAME")
    if not card.text.strip():
        raise _refused(where, "there is no text under its header")
    results = data.eval_results or []
    for result in results:
        _check_result(result, where)
    if results:
        index = eval_results_to_model_index(data.model_name, results)
        again = _parse(str(card), where).data
        if model_index_to_eval_results(index) != (data.model_name, results) or again.to_dict() != data.to_dict():
            raise _refused(where, "its model-index changes when it is read and written")


def _parse(text: str, where: str) -> Any:
    from huggingface_hub import ModelCard

    try:
        return ModelCard(text)
    except Exception as error:  # the parser lets YAML's own errors through
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _refused(where, f"its header cannot be read: {reason}") from error


def _check_result(result: Any, where: str) -> None:
    name = result.metric_name or result.metric_type
    value, ci95 = result.metric_value, (result.metric_args or {}).get("ci95")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused(where, f"its metric {name!r} is {value!r}, which is no finite number")
    if ci95 is not None and not (len(ci95) == 2 and ci95[0] <= ci95[1]):
        raise _refused(where, f"the interval of its metric {name!r} is {ci95!r}")


def _refused(where: str, reason: str) -> UserInputError:
    return UserInputError(f"the card {where} does not pass ({reason})", _FIX)
