"""An export on a hub: what would be sent, and sending it so that a repository never shows half a model.

Files go first, as plain HTTP uploads which every hub takes and whose progress can be seen; one commit then shows them all. What
the hub lists afterwards is compared with what was sent.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrollama.console import progress, say, warn
from astrollama.errors import AstroLlamaError, UserInputError
from astrollama.files import sha256_file
from astrollama.release.card_check import CARD, HUB_ID, check_card, read_card
from astrollama.release.card_metrics import eval_results
from astrollama.release.exported import Exported, read_export
from astrollama.release.hub_errors import Sent, quiet_hub, told_in_a_line
from astrollama.release.results import read_report
from astrollama.tokens.shards import INDEX

_TEXT = {".json", ".md"}
_OF_THE_HUB = {".gitattributes"}  # what a new repository holds


@dataclass(frozen=True)
class Upload:
    """A file to be sent.

    Attributes:
        name: its path in the repository.
    """

    name: str
    path: Path
    bytes: int
    sha256: str

    def git_oid(self) -> str:
        """The identifier that git gives the file where it is no large one."""
        return hashlib.sha1(b"blob %d\0" % self.bytes + self.path.read_bytes(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Publication:
    """What would be published, where.

    Attributes:
        repo: `owner/name`.
        card: the card's header.
        num_metrics: how many metrics it has.
    """

    repo: str
    hub: str
    files: list[Upload]
    card: dict[str, Any]
    num_metrics: int

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files)


def plan_publication(export: Path, repo: str, evaluation: Path | None, *, documents: bool = True) -> Publication:
    """Check an export and its card, and list what would be sent; nothing is asked of the hub.

    Args:
        evaluation: the card's metrics must be this one's.
        documents: send the list of the documents that the model was trained on, where the export has it.

    Raises:
        RunError: the export is unfinished, changed or failed parity, or has no card.
        UserInputError: the card does not pass or has other metrics, or `repo` is no name of a repository.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
    except HFValidationError:
        valid = False
    else:
        valid = HUB_ID.fullmatch(repo) is not None
    if not valid:
        raise UserInputError(
            f"{repo!r} is no name of a repository", "write OWNER/NAME, of letters, digits, single - and ., 96 at most"
        )
    exported = read_export(export)
    card = read_card(export / CARD)
    check_card((export / CARD).read_text(encoding="utf-8"), str(export / CARD))
    if evaluation is not None and (card.data.eval_results or []) != eval_results(read_report(evaluation)[1]):
        raise UserInputError(
            f"the metrics of {export / CARD} are not those of {evaluation}", "make the card again with astrollama card"
        )
    _warn_of_places(exported)
    files = [
        Upload(name, export / name, int(record["bytes"]), str(record["sha256"]))
        for name, record in exported.files.items()
        if documents or name != INDEX
    ]
    own = export / CARD
    files.append(Upload(CARD, own, own.stat().st_size, sha256_file(own)))
    header = card.data.to_dict()
    header.pop("model-index", None)
    return Publication(repo, constants.ENDPOINT, files, header, len(card.data.eval_results or []))


def _warn_of_places(exported: Exported) -> None:
    """Warn of files that tell where things lie on this machine, such as the record of an adapter's base."""
    places = {str(place) for place in (Path.home(), Path(exported.source).parent, exported.path.resolve().parent)}
    places = {place for place in places if place.startswith("/") and place != "/"}
    for name in (*exported.files, CARD):
        if (exported.path / name).suffix in _TEXT:
            text = (exported.path / name).read_text(encoding="utf-8", errors="replace")
            found = sorted(place for place in places if place in text)
            if found:
                warn(f"{name} names a place of this machine, {found[0]}")


def publish(publication: Publication, *, private: bool, update: bool) -> str:
    """Send the files and show them in one commit; returns the repository's address.

    A repository that is not there is made. Where all of this is there already, nothing is done.

    Args:
        private: a repository that is made is for its owner alone; one that is there must be so already.
        update: a repository that holds other files may be added to; files of the same name are replaced.

    Raises:
        UserInputError: there is no token, or it is refused; the repository is public or holds other files.
        NetworkError: the hub cannot be reached, refuses, or broke the upload off.
        InterruptedRunError: the user stopped it.
        AstroLlamaError: what the hub then lists is not what was sent.
    """
    from huggingface_hub import HfApi, ModelCard, get_token

    token = get_token()
    if token is None:
        raise UserInputError("there is no token for the hub", "set HF_TOKEN to one that may write")
    api, repo = HfApi(endpoint=publication.hub, token=token), publication.repo
    sent = Sent(publication.hub, repo, len(publication.files))
    address = f"{publication.hub}/{repo}"
    with quiet_hub(), told_in_a_line(sent):
        found = _repository(api, repo)
        if private and found is not None and not found.private:
            raise UserInputError(f"{repo} is public", "make it private on the hub, or leave --private away")
        if found is not None and _holds_all(found, publication.files):
            say(f"{address} holds all of this already")
            return address
        if found is not None and not update:
            _require_empty(found, repo)
        _validate(ModelCard(publication.files[-1].path.read_text(encoding="utf-8")))
        if found is None:
            api.create_repo(repo, private=private)
            sent.made = True
        commit = _send(api, publication, sent)
        listed = api.model_info(repo, revision=commit, files_metadata=True)
    if not _holds_all(listed, publication.files):
        raise AstroLlamaError(
            f"what {address} lists at {commit[:12]} is not what was sent",
            "look at the repository, and publish again with --update",
        )
    return address


def _repository(api: Any, repo: str) -> Any:
    """What the hub lists of a repository, or None where it has none of that name."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(repo, files_metadata=True, timeout=20)
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401:  # which the client takes for the same
            raise
        return None


def _holds_all(found: Any, files: Sequence[Upload]) -> bool:
    """Whether the hub lists each file with its size and its hash."""
    listed = {sibling.rfilename: sibling for sibling in found.siblings or []}
    return all(file.name in listed and _is(listed[file.name], file) for file in files)


def _is(sibling: Any, file: Upload) -> bool:
    if sibling.size != file.bytes:
        return False
    return bool(sibling.lfs.sha256 == file.sha256 if sibling.lfs else sibling.blob_id == file.git_oid())


def _require_empty(found: Any, repo: str) -> None:
    others = sorted({sibling.rfilename for sibling in found.siblings or []} - _OF_THE_HUB)
    if others:
        raise UserInputError(
            f"{repo} exists and holds {len(others)} files (such as {others[0]})",
            "add --update to replace those of the same name and keep the others, or choose another --repo",
        )


def _validate(card: Any) -> None:
    """Ask the hub whether it takes the card, before anything is sent."""
    try:
        card.validate()
    except ValueError as error:
        raise UserInputError(
            f"the hub does not take the card ({_reasons(str(error))})", f"mend {CARD}, or make it again"
        ) from error


def _reasons(answer: str) -> str:
    """The hub's own words, which come as JSON."""
    try:
        return "; ".join(str(own["message"]) for own in json.loads(answer)["errors"])
    except (ValueError, KeyError, TypeError):
        return answer.strip() or "no reason given"


def _send(api: Any, publication: Publication, sent: Sent) -> str:
    """Send all files, then commit them together; returns the commit."""
    from huggingface_hub import CommitOperationAdd

    with ExitStack() as stack, progress("uploading", publication.bytes) as bar:
        operations, done = [], 0
        for file in publication.files:
            reader = stack.enter_context(_Reader(file.path))
            operation = CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=reader)
            reader.at = lambda place, before=done, name=file.name: bar.update(before + place, name)
            api.preupload_lfs_files(publication.repo, [operation], free_memory=False)
            reader.at = None
            operations.append(operation)
            sent.names.append(file.name)
            done += file.bytes
            bar.update(done, file.name)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            message = f"{publication.card.get('library_name', 'model')}: {len(operations)} files by astrollama publish"
            sent.showing = True
            commit = api.create_commit(publication.repo, operations, commit_message=message)
            sent.shown = True
    for warning in told:
        warn(" ".join(str(warning.message).split()))
    return str(commit.oid)


class _Reader(io.BufferedReader):
    """A file that tells how far it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.at: Callable[[int], None] | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.at is not None:
            self.at(self.tell())
        return data
