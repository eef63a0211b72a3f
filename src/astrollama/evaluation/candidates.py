"""From what a user names to the systems that are compared."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.errors import RunError, UserInputError
from astrollama.evaluation.subject import Subject
from astrollama.evaluation.systems import Role, System, SystemAbility
from astrollama.files import sha256_file
from astrollama.models.folder import read_base_record, read_encoder_record
from astrollama.models.registry import ModelFolder, find_model, model_digest
from astrollama.sections import ApiSection, EvaluateSection

if TYPE_CHECKING:
    from astrollama.backends.base import Ability

ADAPTED, BASE = "adapted", "base"

_LOCAL: frozenset[Ability] = frozenset({"score", "generate", "embed"})
_ENCODER: frozenset[Ability] = frozenset({"embed"})
_CHAT, _EMBEDDINGS = "openai", "openai-embeddings"
# the paper's opponents by the names that it gives them
_ALIASES = {"gpt-4": f"{_CHAT}:gpt-4", "gpt-3": f"{_EMBEDDINGS}:text-embedding-ada-002"}
_BASELINES: tuple[tuple[str, str, SystemAbility], ...] = (
    ("minilm", "MiniLM", "embed"),
    ("bm25", "BM25", "bm25"),
    ("tfidf", "TF-IDF", "tfidf"),
    ("keywords", "keyword rules", "keywords"),
)
# what records of samples have beside the systems' answers
_RESERVED = {
    ADAPTED,
    BASE,
    "id",
    "title",
    "date",
    "prompt",
    "truth",
    "primary_category",
    *(own[0] for own in _BASELINES),
}


def gather_systems(
    model: str,
    base: str | None,
    others: Sequence[str],
    subject: Subject,
    folder: Path,
    settings: EvaluateSection,
    api: ApiSection,
) -> list[System]:
    """The adapted model, its base, what else was asked for, and the baselines; no model is loaded.

    Args:
        others: further models: as for `find_model`; `openai:NAME` for a chat model behind the OpenAI protocol,
            `openai-embeddings:NAME` for one that embeds; `gpt-4` and `gpt-3` are those of the paper.
        folder: where the systems' measurements go.

    Raises:
        ModelError, NetworkError: a model cannot be had.
        RunError: the base is not known.
    """
    on = base or subject.base
    if on is None:
        raise RunError(f"{model} does not record the base that it was trained from", "name it with --base")
    opened = _opener_of_apis(api)
    systems = [
        _local(ADAPTED, subject.name, "adapted", model, base, folder, settings),
        _local(BASE, _short(on), "base", on, None, folder, settings),
    ]
    for spec in others:
        key = _key(spec, {system.key for system in systems})
        kind, _, name = _ALIASES.get(spec, spec).partition(":")
        if kind in (_CHAT, _EMBEDDINGS):
            systems.append(_behind_api(key, kind, name, folder, api, opened))
        else:
            systems.append(_local(key, _short(spec), "other", spec, None, folder, settings))
    return [*_told_apart(systems), *_baselines(folder, settings)]


def _local(
    key: str, label: str, role: Role, spec: str, base: str | None, folder: Path, settings: EvaluateSection
) -> System:
    from astrollama.backends.hf import VERSION

    found = find_model(spec)

    def load() -> Any:
        from astrollama.backends.hf import HFLanguageModel
        from astrollama.models.load import load_model, resolve_device

        return HFLanguageModel(load_model(spec, resolve_device(settings.device), base))

    digest = model_digest(found)
    identity = hashlib.sha256(json.dumps([digest, _settings_of(found, base), VERSION]).encode()).hexdigest()
    abilities = _ENCODER if read_encoder_record(found.path) else _LOCAL
    return System(key, label, found.name, role, abilities, identity, folder / key, digest, opener=load)


def _settings_of(found: ModelFolder, base: str | None) -> list[str]:
    """Hashes of what besides the weights decides a model's answers: its configuration and its tokenizer."""
    path = found.path
    if found.kind == "adapter":
        path = find_model(base or read_base_record(found.path).name).path
    return [sha256_file(path / name) for name in ("config.json", "tokenizer.json") if (path / name).is_file()]


def _behind_api(
    key: str, kind: str, name: str, folder: Path, api: ApiSection, opened: Callable[[str, str], Any]
) -> System:
    from astrollama.backends.api_client import OPENAI_URL, base_url_of, missing_key_reason
    from astrollama.backends.costs import prices_of
    from astrollama.backends.openai_http import INSTRUCTION_VERSION

    if not name:
        raise UserInputError(f"{kind}: names no model", f"write for example {kind}:gpt-4")
    address, no_key = base_url_of(api), missing_key_reason(api)
    if no_key is None:  # an unknown price is told now, not after hours
        prices_of(name, api, openai=address == OPENAI_URL)
    abilities: frozenset[Ability] = frozenset({"generate"}) if kind == _CHAT else frozenset({"embed"})
    instruction = f", instruction {INSTRUCTION_VERSION}" if kind == _CHAT else ""
    return System(
        key,
        name,
        f"{kind}:{name}",
        "other",
        abilities,
        f"{kind}:{name} at {address}{instruction}",
        folder / key,
        unavailable=no_key,
        opener=lambda: opened(kind, name),
    )


def _opener_of_apis(api: ApiSection) -> Callable[[str, str], Any]:
    """Opens models behind one API, whose costs count together."""
    from astrollama.backends.costs import CostCeiling

    ceiling = CostCeiling(api.max_cost)

    def open_model(kind: str, name: str) -> Any:
        from astrollama.backends.openai_http import open_chat, open_embeddings

        return (open_chat if kind == _CHAT else open_embeddings)(name, api, ceiling)

    return open_model


def _baselines(folder: Path, settings: EvaluateSection) -> list[System]:
    from astrollama.backends.minilm import DIGEST

    def minilm() -> Any:
        from astrollama.backends.minilm import load_minilm
        from astrollama.models.load import resolve_device

        return load_minilm(resolve_device(settings.device))

    return [
        System(
            key,
            label,
            key,
            "baseline",
            frozenset({ability}),
            DIGEST if key == "minilm" else key,
            folder / key,
            opener=minilm if key == "minilm" else None,
        )
        for key, label, ability in _BASELINES
    ]


def _told_apart(systems: list[System]) -> list[System]:
    """The systems, with the key in a label that another has too."""
    count = Counter(system.label for system in systems)
    return [
        replace(system, label=f"{system.label} ({system.key})") if count[system.label] > 1 else system
        for system in systems
    ]


def _key(spec: str, taken: set[str]) -> str:
    """A short name of a model that no other has."""
    stem = re.sub(r"[^a-z0-9.]+", "-", _short(spec).split(":")[-1].lower()).strip("-.") or "model"
    number = 1
    while (key := stem if number == 1 else f"{stem}-{number}") in taken | _RESERVED:
        number += 1
    return key


def _short(spec: str) -> str:
    return spec.rstrip("/").rsplit("/", 1)[-1]
