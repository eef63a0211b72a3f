"""The base of a model as its card needs it: what it is, where the hub has it, and under which licence."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from astrollama.errors import UserInputError
from astrollama.models.packaged import PACKAGED_MODELS
from astrollama.release.card_check import CARD, read_card
from astrollama.release.exported import made_from

_HUB_NAME = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@[\w./-]+)?")


@dataclass(frozen=True)
class BaseFacts:
    """A base model.

    Attributes:
        title: what it is called; of a folder its name, never its place.
        licence: as the hub's cards name it, for example `apache-2.0`.
        hub_id: on the hub, or "" where that is not known.
        is_direct: whether the model was trained on it itself, not on what another training had made of it.
        attribution: whose it is, a sentence, or "" where that is not known.
        remark: how the weights that were trained on differ from those on the hub, a sentence, or "".
    """

    title: str
    licence: str
    hub_id: str = ""
    is_direct: bool = True
    attribution: str = ""
    remark: str = ""


_PACKAGED = {
    "smollm2-135m": (
        "SmolLM2-135M-Instruct",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "SmolLM2 is by Allal et al. 2025 (arXiv:2502.02737), Hugging Face.",
        "The weights that training began from are not those of the hub bit for bit: they come from a file of 4-bit weights in the "
        "package {package} and were turned into float32, with {boundary} as the token between documents. "
        "`astrollama model pull smollm2-135m` makes them again.",
    )
}


def base_facts(name: str, licence: str | None, hub_id: str | None) -> BaseFacts:
    """What is known of a base by the name under which a run records it.

    Args:
        name: a packaged or a shipped name, `org/name` or `org/name@revision` of the hub, or a folder or GGUF file. Where
            that is itself an adapter, a run or a merge, what it was made from in the end is the base; the title names both.
        licence: of the base where it does not tell its own, else None; what the base tells must not contradict it.
        hub_id: where the hub has the base, if its name does not tell, else None.

    Raises:
        UserInputError: the licence is not known, or is another than the one given.
    """
    facts = _facts_of_root(name)
    given = licence.strip().lower() if licence else ""
    if facts.licence and given and facts.licence != given:
        raise UserInputError(
            f"the base {facts.title} has the licence {facts.licence}, not {given}", "leave --licence away"
        )
    if not facts.licence and not given:
        raise UserInputError(
            f"the licence of the base {facts.title} is not known",
            "give it with --licence, for example --licence llama2",
        )
    return replace(facts, licence=facts.licence or given, hub_id=hub_id or facts.hub_id)


def _facts_of_root(name: str) -> BaseFacts:
    way, root = [], name
    while (below := made_from(root)) is not None:
        way.append(Path(root).name)
        root = below
    facts = _facts(root)
    if not way:
        return facts
    return replace(facts, title=f"{facts.title}, by way of {', '.join(reversed(way))}", is_direct=False)


def _facts(name: str) -> BaseFacts:
    if name in PACKAGED_MODELS:
        model = PACKAGED_MODELS[name]
        title, hub_id, attribution, remark = _PACKAGED[name]
        remark = remark.format(package=f"{model.package} {model.version}", boundary=f"`{model.boundary_token}`")
        return BaseFacts(title, model.licence.lower(), hub_id, attribution=attribution, remark=remark)
    path = Path(name)
    if path.exists() or path.is_absolute():
        return BaseFacts(path.name, _licence_of_folder(path))
    found = _HUB_NAME.fullmatch(name)
    return BaseFacts(name, "", found["id"] if found else "")


def _licence_of_folder(folder: Path) -> str:
    """The licence that a model folder's own card names, or nothing."""
    path = folder / CARD
    licence = read_card(path).data.get("license") if path.is_file() else None
    return licence.lower() if isinstance(licence, str) else ""
