"""What made a number: our version and commit, the libraries, the machine."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from astrollama import __version__

_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "numpy",
    "pyarrow",
    "ftfy",
    "datasketch",
    "scikit-learn",
    "lm-eval",
    "bm25s",
    "openai",
)
_MAIL = re.compile(r"[^\s=@]+@[\w-]+(?:\.[\w-]+)+")


def command() -> list[str]:
    """The command that runs, with the program's bare name, and without mail addresses, for it is published."""
    return [Path(sys.argv[0]).name, *(_MAIL.sub("ADDRESS", word) for word in sys.argv[1:])]


def versions() -> dict[str, str | None]:
    """The versions of what can change a number: ourselves (with the git commit in a checkout), Python and the libraries."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {
        "astrollama": __version__,
        "git_commit": _git_commit(),
        "python": sys.version.split()[0],
    }
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def hardware() -> dict[str, Any]:
    """The processor, its cores, the memory and the GPU, if torch is loaded and sees one."""
    import platform

    described: dict[str, Any] = {
        "machine": platform.machine(),
        "processor": _processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": None,
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name()
    return described


def without_places(value: Any) -> Any:
    """A value as it may be published: of absolute paths in it only the last part, for the rest is a place of one machine."""
    if isinstance(value, Mapping):
        return {key: without_places(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(own) for own in value]
    return _without_place(value) if isinstance(value, str) else value


def _git_commit() -> str | None:
    """The commit of the checkout that this package runs from, `-dirty` behind it where files differ; None elsewhere."""
    import subprocess

    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _processor_name() -> str:
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _without_place(text: str) -> str:
    """An absolute path alone, or behind a `=` as `--set` has it; quotes around it stay."""
    found = re.fullmatch(r"""(?P<before>(?:[\w.-]+=)?["']?)(?P<path>(?:~|\.\.)?/[^"']+)(?P<after>["']?)""", text)
    if found is None:
        return text
    return f"{found['before']}{PurePath(found['path']).name or found['path']}{found['after']}"
