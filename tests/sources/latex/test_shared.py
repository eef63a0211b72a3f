"""Four real papers, where a folder `shared` stands beside the checkout: all found, and none of their TeX left in the prose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from astrollama.sources.latex.archive import read_folder
from astrollama.sources.latex.convert import PaperText, convert

LATEX = Path(__file__).parents[4] / "shared" / "latex"
PAPERS = {
    "celerite": ("dfm+celerite/paper", "Introduction", "Discussion"),
    "lightkurve": ("KeplerGO+lightkurve-paper/paper", "Introduction", "Conclusions"),
    "jianbing": ("dr-guangtou+jianbing/paper", "Introduction", "Summary and Conclusions"),
    "young-stellar-flares": ("gmduvvuri+young-stellar-flares/src/tex", "Introduction", "Conclusions"),
}
_MATHS = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
_CITATION = re.compile(r"\\[a-zA-Z]*cite[a-zA-Z]*\*?\s*(?:\[[^\]]*\]\s*)*\{([^}]*)\}")
_COMMENT = re.compile(r"(?<!\\)%+(.*)")

pytestmark = pytest.mark.skipif(not LATEX.is_dir(), reason="no folder 'shared' with real papers beside the checkout")


@pytest.fixture(params=PAPERS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def source(name: str) -> str:
    folder = LATEX / PAPERS[name][0]
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.tex")))


@pytest.fixture(scope="module")
def paper(name: str) -> PaperText:
    return convert(read_folder(LATEX / PAPERS[name][0]))


@pytest.fixture(scope="module")
def prose(paper: PaperText) -> str:
    return _MATHS.sub(" ", paper.text("full"))


def test_abstract_introduction_and_conclusion_are_found(name: str, paper: PaperText) -> None:
    assert paper.status in ("ok", "partial")
    assert not any(reason.startswith("no ") for reason in paper.reasons)
    assert len(paper.abstract.split()) > 150
    titles = {section.kind: section.title for section in reversed(paper.sections) if section.level == 1}
    assert (titles["introduction"], titles["conclusion"]) == PAPERS[name][1:]
    assert paper.title
    assert "\\" not in _MATHS.sub("", paper.title)


def test_no_command_names_or_signs_of_tex(source: str, prose: str) -> None:
    assert not re.search(r"[\\{}$~&]{2}|[\\{}$~]", prose)
    names = set(re.findall(r"\\([A-Za-z]{2,})", source))
    assert len(names) > 50
    assert not [command for command in names if f"\\{command}" in prose]


def test_no_keys(source: str, prose: str) -> None:
    keys = {key.strip() for keys in _CITATION.findall(source) for key in keys.split(",")} - {""}
    keys |= set(re.findall(r"\\label\{([^}]*)\}", source))
    assert len(keys) > 10
    words = set(re.findall(r"[^\s()\[\],;]+", prose))
    assert not [key for key in keys if len(key) > 3 and re.search(r"[\d:_]", key) and key in words]


def test_no_comments(source: str, prose: str) -> None:
    visible = " ".join(_COMMENT.sub("", source).split())
    comments = {" ".join(comment.split()) for comment in _COMMENT.findall(source)}
    texts = [comment for comment in comments if len(comment.split()) > 3 and comment not in visible]
    assert texts or "celerite" in source
    assert not [comment for comment in texts if comment in " ".join(prose.split())]


def test_no_authors_figures_or_bibliography(prose: str) -> None:
    for gone in ("University of California", "orcid.org", "includegraphics", "@", "bibitem", "textwidth"):
        assert gone not in prose.split("Acknowledgements")[0]
