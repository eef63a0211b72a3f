"""What journals, proceedings and old formats do besides becomes clean text too."""

from __future__ import annotations

import pytest

from astrollama.sources.latex.settings import is_setting
from astrollama.sources.latex.tokens import Input
from tests.sources.latex import papers_journals
from tests.sources.latex.test_convert import assert_clean, body, converted, kinds


@pytest.mark.parametrize(
    "name", ["AASTEX7", "AASTEX4", "NATURE", "SPRINGER", "THESIS", "WHITE_PAPER", "PLAIN", "HARVMAC"]
)
def test_a_paper_of_each_manner_is_found_whole_and_clean(name: str) -> None:
    paper = converted(getattr(papers_journals, name))
    assert (paper.status, paper.detail) == ("ok", "")
    assert {"abstract", "introduction", "conclusion"} <= {section.kind for section in paper.sections}
    assert_clean(paper.text("full"))
    assert_clean(paper.title)


def test_aastex7() -> None:
    paper = converted(papers_journals.AASTEX7)
    assert paper.title == "Slow Novae"
    assert paper.abstract == "We add three novae and one AGN."
    assert paper.text("introduction-conclusion").endswith(
        "Introduction\n\nNovae at 1–5 μm, 1, 2 and a page.\n\nMain takeaways\n\n- Novae are slow."
    )
    assert paper.text("full").endswith("Thanks.\n\nAcknowledgements\n\nAll wrote.")


def test_signs_that_old_papers_built_from_boxes() -> None:
    paper = converted(papers_journals.AASTEX4)
    assert paper.abstract == (
        r"Cores at $z{\lesssim} 0.5$, z $\lesssim$ 1, $z{\lesssim} 3$, $z{\gtrsim}4$ and $L\mathrel{\propto\sim} r$."
    )
    text = paper.text("full")
    assert 'Cores collapse at 300 km s$^{-1}$ and are "old".' in text
    assert text.endswith("Final remarks\n\nCores collapsed.")


def test_nature_without_an_abstract_environment() -> None:
    paper = converted(papers_journals.NATURE)
    assert [kind for kind, _ in kinds(paper)] == [
        *("abstract", "introduction", "conclusion", "other", "other", "acknowledgements")
    ]
    assert len(paper.abstract.split()) < len(paper.sections[1].text.split())
    assert paper.sections[2].text == "In summary, we have shown that it is slow."


def test_springer() -> None:
    text = converted(papers_journals.SPRINGER).text("introduction-conclusion")
    assert text == (
        "Purpose: Loops are looked at.\n\nIntroduction\n\nLoops of 13CO+ hold half, 1/2, of it.\n\n"
        "Theorem (Noether). Loops close.\n\nConcluding thoughts\n\nLoops closed."
    )


def test_the_sections_of_a_thesis_lie_below_its_chapters() -> None:
    assert [(s.kind, s.level, s.title) for s in converted(papers_journals.THESIS).sections] == [
        ("abstract", 1, "Abstract"),
        ("introduction", 1, "Introduction"),
        ("introduction", 2, "History"),
        ("other", 1, "Grains"),
        ("other", 2, "Conclusions"),
        ("conclusion", 1, "Conclusions"),
        ("conclusion", 2, "Outlook"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "WHITE_PAPER",
            "They were dark.|Introduction|After recombination it was dark.|Experiments|There will be light."
            "|Conclusions|We want to see.|Acknowledgements|We thank nobody.",
        ),
        (
            "PLAIN",
            "We find dark matter dark.|INTRODUCTION|It was found long ago.\n$$M = {v^2 r \\over G}$$\nholds."
            "|CONCLUSIONS|It is dark indeed.",
        ),
    ],
)
def test_headings_that_are_only_bold_lines(name: str, expected: str) -> None:
    assert converted(getattr(papers_journals, name)).text("full").split("\n\n") == expected.split("|")


def test_harvmac() -> None:
    paper = converted(papers_journals.HARVMAC)
    assert paper.title == "Black Holes and Novae"
    assert paper.abstract.startswith("Here we report that slow novae fade for years")
    assert "Holes evaporate[CITE], see [CITE] and [CITE].\n$$S = {A\\over 4}$$\nBy [REF], they" in paper.text("full")


def test_arguments_of_unknown_commands_stay_only_where_they_are_prose() -> None:
    paper = converted(papers_journals.PROCEEDINGS)
    assert (paper.status, paper.detail) == ("partial", r"unknown command: \unknownlabel, \unknownbox")
    assert paper.text("full").split("\n\n") == [
        *(
            "Clusters cluster.",
            "Intro",
            "Clusters of stars, 12h30m kept prose. Range [REF].",
            "Clusters and future work",
        ),
        *("They cluster.", "Data and Software Availability", "On request."),
    ]
    assert [kind for kind, _ in kinds(paper)] == ["abstract", "introduction", "conclusion", "acknowledgements"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("sec:intro", True),
        ("fig_one", True),
        ("0.5\\textwidth", True),
        ("-1em", True),
        ("width=3cm, clip", True),
        ("plots/a.pdf", True),
        ("a@b.example", True),
        ("", True),
        ("A word", False),
        ("Note:", False),
        ("12", False),
        ("run\\_all", False),
        ("$a=b$", False),
        ("x" * 300 + ":" + "y", False),
    ],
)
def test_settings_and_prose(argument: str, expected: bool) -> None:
    source = Input()
    source.push_file(argument, "a.tex")
    assert is_setting(list(iter(source.next, None))) is expected


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["Introduction", "Conclusions", "Outlook"], "Conclusions"),
        (["Introduction", "Discussion", "Conclusions and perspectives"], "Conclusions and perspectives"),
        (["Introduction", "Discussion", "Final remarks"], "Final remarks"),
        (["Introduction", "Discussion", "Lessons learned"], "Lessons learned"),
        (["Introduction", "Results", "Summary of results", "Future work"], "Summary of results"),
        (["Introduction", "Results", "Future prospects"], "Future prospects"),
    ],
)
def test_the_conclusion_among_closing_sections(titles: list[str], expected: str) -> None:
    source = "".join(rf"\section{{{title}}} Text. " for title in titles)
    paper = converted(rf"\documentclass{{article}}\begin{{document}}{source}\end{{document}}")
    assert [title for kind, title in kinds(paper) if kind == "conclusion"] == [expected]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"\DeclareAcronym{cmb}{short = CMB, long={cosmic}}The \ac{cmb}, \acp{cmb}, \gls{none}.", "The CMB, CMBs, none."),
        (r"\acrodef{grb}[GRB]{gamma-ray burst}\acl{grb}", "GRB"),
        (r"\element[][13]{C} and \element[+]{C}", "$^{13}$C and C"),
        (r"\SIlist{1;2}{\m} \qtyrange[a=b]{2}{3}{GHz}", "1, 2 m 2–3 GHz"),
        (r"a\char`\~b\symbol{95}c\char126 d", "a~b_c~ d"),
        (r"$\mathrel{x\mbox{}}b$", r"$\mathrel{x}b$"),
        (r"\begin{abstract}a $b \end{abstract} \section{Introduction} c", "a $b$\n\nIntroduction\n\nc"),
        (r"\raise -2.truept\hbox{a}\lower.5ex\hbox{b}", "ab"),
        (r"\section{Results}R.\paragraph{Acknowledgements} T.", "Results\n\nR.\n\nAcknowledgements\n\nT."),
        (r"\abstract{A.}\section{Results}R. \centerline{\bf FIGURE CAPTIONS} Fig. 1. Gone", "A.\n\nResults\n\nR."),
        (r"a\message{gone}\count0=3 b\dimen1=3pt \uccode`a=3 \line{c}\number\year", "ab c"),
        (r"a\loop\ifnum 1<2 b\repeat c", "ac"),
        (r"$\rm I\ $ gas", r"$\rm I$ gas"),
        (r"\begin{boxed}[t]{3cm}kept\end{boxed} \begin{boxed}{\bf bold}\end{boxed}", "kept bold"),
        (r"\def\ion#1#2{#1$\;${\small\rm\@Roman{#2}}}\ion{C}{4} \epsfig{file=a.eps,width=3cm}", "C IV"),
        (r"\replaced{old}{new} \usepackage{changes}\replaced[id=X]{new}{old}", "new new"),
        (r"\titleformat{\section}[hang]{\bf}{\thesection}{1em}{}\titlespacing\section{0pt}{1ex}{1ex}x", "x"),
    ],
)  # fmt: skip
def test_a_detail(source: str, expected: str) -> None:
    assert body(source) == expected


def test_what_does_not_read_like_an_abstract_is_none() -> None:
    lead = "Nobody lives at an institute of nowhere. " * 20
    source = rf"{lead} \section{{Introduction}} Text. \section{{Conclusions}} Text."
    paper = converted(rf"\documentclass{{article}}\begin{{document}}{source}\end{{document}}")
    assert (paper.status, paper.detail, paper.abstract) == ("partial", "no abstract", "")
