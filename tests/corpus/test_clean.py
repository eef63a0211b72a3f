from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrollama.corpus.clean import Clean, content_hash, document_of_paper, repair
from astrollama.records import Document, Paper

PIECES = (
    "the H II region", "$\\alpha_{\\rm CO} \\sim 4$", "Schrödinger", "SchrÃ¶dinger", "“q”", "â€œqâ€\u009d", "&lt;", "&amp;",
    "&amp;amp;", "e\u0301", "\t", " ", "\n", "\r\n", "ﬁt", "<5%", "--", "\x07",
)  # fmt: skip
a_few = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    "text",
    [
        r"$\alpha_{\rm CO} \sim 4\,M_\odot$ and $$E = mc^2$$ but $z<2$ \& \emph{Gaia}",
        "Ångström, Schrödinger, Poincaré, Hα, Lyα λ1216, 5′ 20″, ±3σ, ≲10 kpc, M☉, 10⁻³ erg s⁻¹ Å⁻¹",
        "“curly” ‘quotes’, the star’s disc – and a dash — stay",
        "10^{-3} <= x >= 4 % of a & b; `code' ~ 5 \\AA",
        "日本の望遠鏡で観測した",
    ],
)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    assert repair(text) == text


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("SchrÃ¶dinger and PoincarÃ©", "Schrödinger and Poincaré"),
        ("the starâ€™s disc â€“ seen", "the star’s disc – seen"),
        ("$z &lt; 2$ &amp; more, 5&deg;", "$z < 2$ & more, 5°"),
        ("twice &amp;lt; escaped", "twice < escaped"),
        ("A\u030angstro\u0308m", "Ångström"),
        ("super\u00adnova rem\u200bnant\ufeff", "supernova remnant"),
        ("  a\twide \u00a0 gap \n", "a wide gap"),
        ("wrapped\n  over\r\nthree lines", "wrapped over three lines"),
        ("", ""),
        (" \n\t\u200b\n ", ""),
    ],
)
def test_broken_text_is_mended(broken: str, whole: str) -> None:
    assert repair(broken) == whole


def test_paragraphs_keep_a_blank_line_between_them() -> None:
    assert repair("One\nparagraph.\n \n\n  Another\none.\n\n") == "One paragraph.\n\nAnother one."


@a_few
@given(st.lists(st.sampled_from(PIECES)).map("".join).filter(lambda text: "\n" not in repair(text)))
def test_a_repaired_paragraph_needs_no_repair(text: str) -> None:
    repaired = repair(text)
    assert repair(repaired) == repaired


@a_few
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_can_be_repaired_and_stored(text: str) -> None:
    repaired = repair(text)
    assert repaired.encode("utf-8") == repaired.strip().encode("utf-8")
    assert "  " not in repaired


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert repair("a \ud800 b") == "a \ufffd b"


def test_text_and_title_are_repaired_and_the_hash_is_of_the_repaired_text() -> None:
    before = Document("x", "PoincarÃ©\nmap", " A\n\nTitle\ud800 ", ("a",), "a", "2020-01", "CC0", "old", "p:1")
    [after] = Clean().apply(iter([before]))
    assert isinstance(after, Document)
    assert (after.text, after.title) == ("Poincaré map", "A Title\ufffd")
    assert after.content_hash == hashlib.sha256("Poincaré map".encode()).hexdigest()
    assert (after.id, after.categories, after.date, after.origin) == ("x", ("a",), "2020-01", "p:1")


def test_repaired_paragraphs_need_no_repair() -> None:
    repaired = repair("One.\n\nTwo.")
    assert repair(repaired) == repaired


@pytest.mark.parametrize("text", ["quasars &amp; galaxies at $z<2$", "galaxies at $z<2$\nand quasars &amp; blazars"])
def test_entities_are_mended_beside_a_less_than_sign(text: str) -> None:
    assert "&amp;" not in repair(text)


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("cafe\u200b\u0301", "café"),
        ("a &am\u200bp; b", "a & b"),
        ("the\u00a0â€œsuperâ€\u009d star", "the “super” star"),
    ],
)
def test_what_stands_beside_invisible_characters_is_mended_at_once(broken: str, whole: str) -> None:
    assert repair(broken) == whole


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("We study stars.\n\nby A. Nother (Nother Ann).\n\n2024-03-01", "We study stars."),
        ("We study stars.\n\n2024-03-01", "We study stars."),
        ("We study stars.\nby eye and 2024-03-01", "We study stars. by eye and 2024-03-01"),
        ("2024-03-01\n\nWe study stars.", "2024-03-01\n\nWe study stars."),
        ("We study stars.\n\nby " + "counting them one after the other " * 3, None),
    ],
)
def test_a_signature_at_the_end_of_a_text_goes(text: str, clean: str | None) -> None:
    document = document_of_paper(Paper("a", "", text, (), "", "", "", ""))
    [cleaned] = Clean().apply(iter([document]))
    assert isinstance(cleaned, Document)
    assert cleaned.text == (repair(text) if clean is None else clean)
    assert cleaned.content_hash == content_hash(cleaned.text)
