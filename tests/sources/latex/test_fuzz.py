"""Whatever comes in, a status comes out: no crash, no hang, nothing read from outside of the package."""

from __future__ import annotations

import gzip
import io
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.sources.latex import tokens as tokens_module
from astrollama.sources.latex.archive import Package, read_package
from astrollama.sources.latex.convert import convert
from astrollama.sources.latex.problems import ConversionError
from tests.sources.latex import papers
from tests.sources.latex.archives import PAPER, special, tar

FUZZ = settings(max_examples=300, deadline=None, derandomize=True, database=None)

COMMANDS = str.split(
    r"""
    \begin{ \end{ \begin{figure} \end{figure} \begin{equation} \end{equation} \begin{abstract} \end{abstract} \begin{comment}
    \begin{verbatim} \begin{itemize} \item \item[ \section{ \subsection*{ \title[ \title{ \abstract{ \def\x \def\x#1#2 \x \y
    \newcommand{\x}[2][a] \renewcommand{\y} \let\x\y \let\x= \input{main} \input \input{/etc/passwd} \input{../secret}
    \include{b} \import{..}{secret} \if \ifx \iftrue \iffalse \else \fi \or \ifcase \ifnum \newif\ifz \ztrue \csname \endcsname
    \ensuremath{ \mbox{ \text{ \verb| \verb \url{ \href{ \cite{ \cite[ \cites( \ref{ \ion{ \SI{ \num{ \si{ \' \" \c \v{ \= \\ \\[
    \( \) \[ \] \vskip \hskip \font \footnote{ \footnote \caption{ \appendix \acknowledgments \newenvironment{q}{ \begin{q}
    \end{q} \makeatletter \@x \ifthenelse{ \@ifstar{ \romannumeral \end{document} \begin{document} \endinput \bye \expandafter
    \NewDocumentCommand{\x}{ \DeclareMathOperator{\x} \halign{ \setbox \catcode \lstinline \texorpdfstring{ \item \par \ang{
    """
)
PIECES = st.one_of(
    st.sampled_from(COMMANDS),
    st.sampled_from(
        ["{", "}", "[", "]", "$", "$$", "&", "#", "##", "#1", "%", "% c\n", "~", "^", "_", "*", "=", "(", ")", "\\"]
    ),
    st.sampled_from(
        [" ", "\n", "\n\n", "word", "1.5cm", "2", "plus", "ü", "\x00", "\u2028", "'", "``", "---", "²", "٣"]
    ),
    st.text(max_size=5),
)


def status_of(read: Any) -> str:
    """What a worker would give for this package."""
    try:
        return convert(read()).status
    except ConversionError:
        return "failed"


@pytest.fixture(autouse=True)
def small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MAX_TOKENS", 20_000)


@FUZZ
@given(st.lists(PIECES, max_size=60), st.booleans())
def test_any_sequence_of_tex_gives_a_status(pieces: list[str], is_document: bool) -> None:
    source = "".join(pieces)
    package = Package()
    package.add(
        "main.tex",
        (rf"\documentclass{{a}}\begin{{document}}{source}" if is_document else source).encode("utf-8", "replace"),
    )
    package.add("b.tex", source.encode("utf-8", "replace"))
    with (
        mock.patch.object(Path, "open", side_effect=AssertionError),
        mock.patch("builtins.open", side_effect=AssertionError),
    ):
        assert status_of(lambda: package) in ("ok", "partial", "failed")


@FUZZ
@given(
    st.sampled_from([papers.AASTEX, papers.MNRAS, papers.AASMS4, papers.CJK, papers.BIBLATEX]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 40), PIECES), min_size=1, max_size=5),
)
def test_a_paper_with_pieces_lost_and_put_in_gives_a_status(paper: str, edits: list[tuple[int, int, str]]) -> None:
    for position, length, piece in edits:
        place = position % len(paper)
        paper = paper[:place] + piece + paper[place + length :]
    package = Package()
    package.add("main.tex", paper.encode("utf-8", "replace"))
    assert status_of(lambda: package) in ("ok", "partial", "failed")


@FUZZ
@given(
    st.binary(max_size=2000),
    st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"%PDF", b"\\documentclass{a}", b"PK\x03\x04"]),
)
def test_any_bytes_give_a_status(data: bytes, head: bytes) -> None:
    for content in (head + data, gzip.compress(head + data, compresslevel=1)):
        assert status_of(lambda content=content: read_package(io.BytesIO(content), len(content))) in (
            "ok",
            "partial",
            "failed",
        )


@FUZZ
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_a_damaged_archive_gives_a_status(damage: list[tuple[int, int]], cut: int, compressed: bool) -> None:
    whole = tar(
        ("a/ms.tex", PAPER),
        ("b.tex", PAPER * 3),
        (special("l", b"2", "/etc/passwd"), ""),
        ("ü" * 90, "x"),
        compressed=compressed,
    )
    data = bytearray(whole)
    for position, value in damage:
        data[position % len(data)] = value
    content = bytes(data[: 1 + cut % len(data)] if cut % 2 else data)
    assert status_of(lambda: read_package(io.BytesIO(content), len(content))) in ("ok", "partial", "failed")


@FUZZ
@given(st.text(alphabet="./\\ab~:\n", max_size=12), st.text(alphabet="./ab", max_size=12))
def test_no_name_reaches_a_file_outside(tmp_path_factory: pytest.TempPathFactory, member: str, wanted: str) -> None:
    text = PAPER.replace("The introduction.", rf"\input{{{wanted}}}\include{{{member}}}\import{{{wanted}}}{{{member}}}")
    data = tar(("ms.tex", text), (member or "x", "Inside."))
    with (
        mock.patch("builtins.open", side_effect=AssertionError),
        mock.patch.object(Path, "open", side_effect=AssertionError),
    ):
        package = read_package(io.BytesIO(data), len(data))
        assert all(not name.startswith("/") and ".." not in name.split("/") for name in package.files)
        assert status_of(lambda: package) in ("ok", "partial")


MONSTERS = {
    "backslashes": "\\\\" * 300_000,
    "percent signs": "%\n" * 200_000,
    "dollar signs": "$" * 100_001,
    "spaces": " \n \n" * 100_000,
    "open environments": r"\begin{figure}" * 10_000,
    "open comments": r"\begin{comment}" * 10_000,
    "open brackets": r"\item[" * 10_000,
    "open titles": r"\section{" * 10_000,
    "open addresses": r"\url{" * 10_000,
    "nested emphasis": r"\emph{" * 50_000,
    "nested arguments": r"\newcommand{\q}[1]{#1}" + r"\q{" * 3_000,
    "boxes and dollars": r"$\mbox{" + "{" * 100 + "$" * 50_000,
    "accents": r"\'" * 50_000,
    "parentheses": "(" * 100_000 + " " * 100_000 + ")",
    "classes": r"\documentclass[" * 30_000,
    "one word": "a" * 1_000_000,
    "empty paragraphs": "(" + r"\par " * 100_000,
    "short paragraphs": "a\n\n" * 100_000,
    "spaces behind \\input": r"\input" + " " * 300_000 + "}",
    "digits": r"\vskip " + "1" * 500_000,
}


@pytest.mark.parametrize("monster", MONSTERS.values(), ids=MONSTERS.keys())
def test_a_monster_ends_soon(monster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MAX_TOKENS", 400_000)
    package = Package()
    package.add("main.tex", (r"\documentclass{a}\begin{document}Text. " + monster).encode())
    started = time.monotonic()
    assert status_of(lambda: package) in ("ok", "partial", "failed")
    assert time.monotonic() - started < 10  # measured: under one second each; a quadratic one takes minutes
