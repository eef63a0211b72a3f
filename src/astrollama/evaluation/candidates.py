"""From what a user names to the systems that are compared."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrollama.console import say, warn
from astrollama.errors import ModelError, RunError, UserInputError
from astrollama.evaluation.request import Request
from astrollama.evaluation.subject import Subject
from astrollama.evaluation.systems import Role, System, SystemAbility
from astrollama.files import sha256_file
from astrollama.models.folder import read_base_record, read_encoder_record
from astrollama.models.packaged import MINILM_KEY
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
    (MINILM_KEY, "MiniLM", "embed"),
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


def check_systems(request: Request, api: ApiSection) -> None:
    """Refuse at once what cannot be used, as far as its name tells: nothing is loaded, and no weights are read.

    Raises:
        ModelError, NetworkError: there is no such model.
        UserInputError: an API cannot be asked.
    """
    for spec in request.others:
        if spec in request.remembered:
            continue
        kind, name = _api_of(spec)
        if kind:
            _missing_key(kind, name, api)
        elif not _lies_here(spec):
            _find_other(spec)
    for model in (request.model, request.base):
        if model is not None and not _lies_here(model):
            find_model(model)


def base_of(request: Request, subject: Subject) -> str:
    """What the subject is compared with first.

    Raises:
        RunError: it is neither given nor recorded.
    """
    base = request.base or subject.base
    if base is None:
        raise RunError(
            f"{request.model} records no base that it was trained from",
            f"name one with --base; a model that is a base itself is shown beside others by --base {request.model}",
        )
    return base


def gather_systems(
    request: Request, subject: Subject, folder: Path, settings: EvaluateSection, api: ApiSection
) -> list[System]:
    """The adapted model, its base, what else was asked for, and the baselines; no model is loaded.

    Left out, and told, are a system that is another one of them, which would answer the same, and one that an earlier
    request named and that cannot be used any more.

    Args:
        folder: where the systems' measurements go.

    Raises:
        ModelError, NetworkError: a model cannot be had.
        RunError: the base is not known.
    """
    on = base_of(request, subject)
    opened = _opener_of_apis(api)
    systems = [
        _local(ADAPTED, subject.name, "adapted", request.model, request.base, folder, settings),
        _local(BASE, _short(on), "base", on, None, folder, settings),
    ]
    for spec in request.others:
        key = _key(spec, {system.key for system in systems})
        kind, name = _api_of(spec)
        try:
            if kind:
                system = _behind_api(key, spec, kind, name, folder, api, opened)
            else:
                system = _local(key, _short(spec), "other", spec, None, folder, settings)
        except UserInputError as error:
            if spec not in request.remembered:
                raise
            warn(f"{spec}, which an earlier command named, is left out: {error}")
            continue
        twin = next((own for own in systems if own.identity == system.identity), None)
        if twin is None:
            systems.append(system)
        elif (twin.role, twin.spec) != (system.role, system.spec):
            say(f"{spec} is {twin.label} ({twin.key}), which is compared already: it is left out")
    return [*_told_apart(systems), *_baselines(folder, settings)]


def _lies_here(spec: str) -> bool:
    return Path(spec).expanduser().exists()


def _find_other(spec: str) -> ModelFolder:
    """As `find_model`, with the names of the paper's opponents among those that may be meant."""
    try:
        return find_model(spec)
    except ModelError as error:
        near = difflib.get_close_matches(spec, _ALIASES, n=1)
        raise ModelError(error.what, f"did you mean {near[0]}?" if near else error.fix) from error


def _local(
    key: str, label: str, role: Role, spec: str, base: str | None, folder: Path, settings: EvaluateSection
) -> System:
    found = find_model(spec)
    from astrollama.backends.hf import VERSION  # what finds no model need not wait for torch

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


def _api_of(spec: str) -> tuple[str, str]:
    """The kind of API and the model's name there; two empty texts for a model that is no API's."""
    kind, _, name = _ALIASES.get(spec, spec).partition(":")
    return (kind, name) if kind in (_CHAT, _EMBEDDINGS) else ("", "")


def _missing_key(kind: str, name: str, api: ApiSection) -> str | None:
    """Why an API cannot be asked now, or None.

    Raises:
        UserInputError: it can never be asked: no model is named, its address is none, or its price is not known.
    """
    from astrollama.backends.api_client import OPENAI_URL, base_url_of, missing_key_reason
    from astrollama.backends.costs import prices_of

    if not name:
        raise UserInputError(f"{kind}: names no model", f"write for example {kind}:gpt-4")
    no_key = missing_key_reason(api)
    if no_key is None:  # an unknown price is told now, not after hours
        prices_of(name, api, openai=base_url_of(api) == OPENAI_URL)
    return no_key


def _behind_api(
    key: str, spec: str, kind: str, name: str, folder: Path, api: ApiSection, opened: Callable[[str, str], Any]
) -> System:
    from astrollama.backends.api_client import base_url_of
    from astrollama.backends.openai_http import INSTRUCTION_VERSION

    abilities: frozenset[Ability] = frozenset({"generate"}) if kind == _CHAT else frozenset({"embed"})
    instruction = f", instruction {INSTRUCTION_VERSION}" if kind == _CHAT else ""
    return System(
        key,
        name,
        spec,
        "other",
        abilities,
        f"{kind}:{name} at {base_url_of(api)}{instruction}",
        folder / key,
        unavailable=_missing_key(kind, name, api),
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
            DIGEST if key == MINILM_KEY else key,
            folder / key,
            opener=minilm if key == MINILM_KEY else None,
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
