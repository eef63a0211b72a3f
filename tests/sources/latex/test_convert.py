"""Papers in the manners of many classes and decades become clean text with an introduction and a conclusion."""

from __future__ import annotations

import re

import pytest

from astrollama.sources.latex import tokens
from astrollama.sources.latex.archive import Package
from astrollama.sources.latex.commands import TEXT
from astrollama.sources.latex.convert import PaperText, convert, main_file
from astrollama.sources.latex.problems import ConversionError, NoTexError
from astrollama.sources.latex.vocabulary import SKIPPED, SYMBOLS, UNWRAPPED
from tests.sources.latex import papers

_MATHS = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
_STYLE = r"""
\newcommand{\galex}{\textit{GALEX}}
\newcommand{\Hone}{H\,{\sc i}}
\def\rad{r^2}
\def\mass10{ten masses}
\def\pair#1.#2{(#2, #1)}
\def\@inside{y}
"""


def package(**files: str) -> Package:
    made = Package()
    for name, text in files.items():
        made.add(name.replace("__", "/") + ("" if name.endswith("_sty") else ".tex"), text.encode())
    return made


def converted(text: str, **files: str) -> PaperText:
    return convert(package(ms=text, **files))


def body(source: str, preamble: str = "") -> str:
    """The text of a document with nothing but `source` in it."""
    text = rf"\documentclass{{article}}{preamble}\begin{{document}}{source}\end{{document}}"
    return converted(text).text("full")


def kinds(paper: PaperText) -> list[tuple[str, str]]:
    return [(section.kind, section.title) for section in paper.sections]


def assert_clean(text: str) -> None:
    """No command names, braces, keys or placeholders of ours that are not whole, outside of maths."""
    prose = _MATHS.sub(" ", text)
    assert not re.search(r"[\\{}$~]", prose), prose
    assert "Key" not in prose.replace("Keck", "")
    assert "junk" not in prose.lower()


@pytest.mark.parametrize(
    "name",
    ["AASTEX", "MNRAS", "AA", "AASMS4", "REVTEX_LETTER", "ELSEVIER", "PLAIN_TEX", "LATEX209", "CJK", "BIBLATEX"],
)
def test_a_paper_of_each_manner_is_found_whole_and_clean(name: str) -> None:
    paper = converted(getattr(papers, name))
    assert (paper.status, paper.detail) == ("ok", "")
    found = {section.kind for section in paper.sections}
    assert {"abstract", "introduction", "conclusion"} <= found
    assert_clean(paper.text("full").replace("c~d", ""))
    assert_clean(paper.title)


def test_aastex() -> None:
    paper = converted(papers.AASTEX)
    assert paper.title == "A Survey of Slow Novae in M 31"
    assert paper.abstract == ("We survey slow novae in M 31 at $v < 300$ km s$^{-1}$. The rate is $12\\pm3$ yr$^{-1}$.")
    assert kinds(paper) == [
        ("abstract", ""),
        ("introduction", "Introduction"),
        ("introduction", "Why novae"),
        ("other", "Data"),
        ("conclusion", "Summary and Conclusions"),
        ("acknowledgements", "Acknowledgements"),
        ("appendix", "Extra"),
    ]
    text = paper.text("introduction-conclusion")
    assert text.startswith(paper.abstract + "\n\nIntroduction\n\nNovae erupt [CITE]. [CITE] found 50% of them;")
    assert "the final sentence stays. We use H II regions and Fe II lines" in text
    assert r"$\operatorname*{arg\,max}_x f(x)$ at $300\,\mathrm{km\,s^{-1}}$ in Figure [REF]." in text
    assert 'Because they are "bright" — brighter than 5–10 others.' in text
    assert text.endswith("Summary and Conclusions\n\nWe conclude that slow novae are common.")
    for gone in ("Photometry", "private remark", "draft sentence", "Text behind", "caption", "Nobody", "Consortium"):
        assert gone not in text
    full = paper.text("full")
    assert "see https://example.org/a_b%20c~d.\n$$F = \\frac{L}{4\\pi d^2}$$\nwhere" in full
    assert full.endswith("We thank nobody in particular.\n\nExtra\n\nMore tables.")
    assert paper.text("abstract") == paper.abstract


def test_mnras() -> None:
    text = converted(papers.MNRAS).text("full")
    assert (
        r"of $10^{10}$ $\mathrm{M}_\odot$ in eagle and elsewhere, with $M_{500}$ and 25 mag arcsec$^{-2}$ (faint)"
        in text
    )
    assert (
        "(e.g. [CITE]; [CITE] [CITE]). Smith et al. agree, in MNRAS too, that $\\mathbf{x}$ matters [CITE].\n" in text
    )
    assert "- First, a thing;\n- (b) second, another." in text
    assert r"$$\begin{aligned} a &= b \\ c &= d \end{aligned}$$" in text
    assert "Uthor" not in text


def test_the_five_arguments_of_an_abstract_and_accents() -> None:
    paper = converted(papers.AA)
    assert paper.title == "L'étude des étoiles à neutrons"
    assert paper.abstract == (
        "Neutron stars are dense. We aim to weigh them. We use the Sérsic profile and Ångström's ruler. "
        "They weigh $1.4\\,M_\\odot$."
    )
    names = "González-García, Noël, Dvořák, Łukasz, Ørsted, Straße and niño agree."
    assert names in paper.text("introduction-conclusion")
    assert kinds(paper)[-2:] == [("conclusion", "Discussion and conclusions"), ("appendix", "Tables")]


def test_latex_209() -> None:
    text = converted(papers.LATEX209).text("full")
    assert text.startswith(
        "Quasars are far, very far.\n\nINTRODUCTION\n\nQuasars are bright [CITE]. We write 10 000, 5″, 3°,"
    )
    assert "km s$^{-1}$ and 'far'." in text
    assert r"Quasars ${\gtrsim}$ everything." in text


def test_a_letter_without_headings() -> None:
    paper = converted(papers.REVTEX_LETTER)
    assert [kind for kind, _ in kinds(paper)] == ["abstract", "introduction", "conclusion", "acknowledgements"]
    text = paper.text("introduction-conclusion")
    assert text.endswith("In conclusion, dark photons were not found, and larger detectors are needed.")


def test_listings_drawings_and_units() -> None:
    text = converted(papers.ELSEVIER).text("full")
    assert text.startswith("A pipeline reduces data at 10 km s$^{-1}$ and $1.5 \\times 10^{-3}$.\n\nIntroduction\n\n")
    assert "The call run_all(x % 2) and go() start it." in text
    assert "code that must go" not in text


def test_other_scripts_conditionals_and_links() -> None:
    text = converted(papers.CJK).text("full")
    assert converted(papers.CJK).title == "观测 Observations $\\alpha$ Cen"
    assert "The star 恒星 shines, cf. [REF], [REF] and the section. Red and blue. A link and a mark." in text
    assert "Same." in text
    assert "Less." in text
    assert r"$\mbox{if }a<b\mbox{ then}$ and $x_1$ and" in text
    assert "Résumé, naïve, Çesme, Erdős, Å, ğ, ā, ż, ṣ, ę, 'x." in text
    for gone in ("Hidden", "nested", "Commented", "Different", "More", "gbsn"):
        assert gone not in text


def test_biblatex_and_definitions() -> None:
    text = converted(papers.BIBLATEX).text("full")
    assert text.startswith("Parallaxes are small: $F_{\\rm bol}(x)$ and $F_{\\rm V}(y)$.\n\nMotivation\n\n")
    assert 'Gaia measures parallaxes [CITE], [CITE] and [CITE]. hidden Emphasis and "quotation"; mot. The end.' in text
    assert "- one\n- two" in text


def test_files_of_the_package_are_joined_and_nothing_else_is_read() -> None:
    files = {
        "intro": papers.EMULATEAPJ_INTRO,
        "chapters__method": papers.EMULATEAPJ_METHOD,
        "chapters__skipped": "Skipped text.",
        "parts__deep": " and clusters",
    }
    made = package(
        ms=papers.EMULATEAPJ.replace(r"\begin{document}", r"\includeonly{chapters/method}\begin{document}", 1)
    )
    for name, text in package(**files).files.items():
        made.add(name, text.encode())
    made.add("mydefs.sty", _STYLE.encode())
    paper = convert(made)
    assert (paper.status, paper.detail) == ("partial", "missing file: ../../../etc/passwd, /etc/passwd")
    text = paper.text("full")
    assert "Introduction\n\nGroups and clusters are everywhere.\n\nSecond paragraph." in text
    assert "We used GALEX and H I, ten masses and (b, a)." in text
    assert "$$x^2 + y^2 = r^2$$" in text
    assert text.endswith("Note groups are fine.\n\nClaim. Groups exist.\n\nAll groups group.")
    for gone in ("comment alone", "Unread", "Skipped", "Junk", "root:"):
        assert gone not in text


def test_a_file_that_includes_itself_is_told() -> None:
    paper = converted(
        r"\documentclass{a}\begin{document}\section{Introduction}Text.\input{b}\end{document}",
        b=r"B \input{ms} \input{b}",
    )
    assert "a file includes itself: ms.tex, b.tex" in paper.detail


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"a\%b % c", "a%b"),
        ("one% glued\n   two", "onetwo"),
        ("a\n% c\nb", "a b"),
        ("a\n\n% c\n\nb", "a\n\nb"),
        (r"\begin{verbatim}\end{document} {\end{verbatim}after", "after"),
        (r"\kms{} \apj\ and \msun.", "km s$^{-1}$ ApJ and $M_\\odot$."),
        (r"\'Etoile \v{S} \=o \t{oo} \^\i", "Étoile Š ō o͡o î"),
        (r"{\bf bold {\it both}} \textsc{Caps}", "bold both Caps"),
        (r"x\textsubscript{2}", "x2"),
        (r"$a$$b$", "$a$ $b$"),
        (r"\ensuremath{\alpha_{1}}", r"$\alpha_{1}$"),
        (r"$\ensuremath{\alpha}x$", r"${\alpha}x$"),
        (r"$x \hbox{ for $y>0$} z$", r"$x \hbox{ for }y>0 z$"),
        (r"\[ a \label{x} = b \tag{1} \]", "$$a = b$$"),
        (r"$$ a $$", "$$a$$"),
        (r"a \cite {key}, \citep [see] [p.~2] {key} and \ref {key}", "a [CITE], [CITE] and [REF]"),
        (r"\excitation{of atoms} \Citet{a}", "of atoms [CITE]"),
        (r"(see \citealt{a}; \S\S~\ref{b})", "(see [CITE]; [REF])"),
        (r"\hyperref[x]{here} \hyperlink{a}{there}", "here there"),
        (r"10\,000\,km--s, `a' and ``b''---c", "10 000 km–s, 'a' and \"b\"—c"),
        (r"\begin{quote}said\end{quote}", "said"),
        (r"\vspace{1cm}\setlength{\parindent}{0pt}\hskip -3 mm plus 1fil text", "text"),
        (r"a\footnote{b {c}}\thanks{d}e", "ae"),
        (r"A \SI{3.5e4}{\per\cm\squared} \si{\micro\metre} \ang{1;2;3}", r"A $3.5 \times 10^{4}$ cm$^{-2}$ μm 1°2′3″"),
        (r"C{\sc\romannumeral 4} \ion{O}{iii}\,5007", "Civ O III 5007"),
        (r"\begin{unknownenv}[opt]inside\end{unknownenv}", "inside"),
        (r"\csname textbf\endcsname{x}", "x"),
        (r"\ifmmode maths\else text\fi $\ifmmode m\else t\fi$", "text$m$"),
        (r"\ifcase 1 zero\or one\or two\else more\fi", "one"),
        (r"H$\,${\sc ii} C\,\textsc{iv} [O{\scshape iii}] {\sc Galfit} \textsc{vi}", "H II C IV [O III] Galfit VI"),
        (r"\hbox to 3cm{a\hfil}b \begin{math}x\end{math} \index{gone}c", "ab $x$ c"),
        (r"\twocolumn[\begin{center}Wide\end{center}]Narrow", "Wide\n\nNarrow"),
    ],
)
def test_a_detail_of_tex(source: str, expected: str) -> None:
    assert body(source) == expected


@pytest.mark.parametrize(
    ("preamble", "source", "expected"),
    [
        (r"\newcommand{\kepler}{\emph{Kepler}}", r"\kepler and \kepler, \kepler{} and \kepler's", "Kepler and Kepler, Kepler and Kepler's"),
        (r"\def\n{\~n}", r"Espa\n a", "España"),
        (r"\newcommand\x[2][d]{#1-#2}", r"\x{a} \x[b]{a}", "d-a b-a"),
        (r"\def\x#1#2{#2#1}", r"\x ab \x{c}{d}", "ba dc"),
        (r"\def\x#1,#2;{#2#1}", r"\x a b,c;!", "ca b!"),
        (r"\let\x=\y\def\y{1}\let\z\y\def\y{2}", r"\z\y", "12"),
        (r"\renewcommand{\S}{Sect.}\let\old\textbf\renewcommand{\textbf}[1]{<\old{#1}>}", r"\S\ 1 \textbf{a}", "Sect. 1 <a>"),
        (r"\newif\ifx@a\newif\iflong\longtrue", r"\iflong long\else short\fi\longfalse\iflong no\fi", "long"),
        (
            r"\newboolean{b}\setboolean{b}{true}",
            r"\ifthenelse{\boolean{b}}{yes}{no}\ifthenelse{\equal{a}{b}}{yes}{no}",
            "yesno",
        ),
        (r"\def\section#1{broken}", r"\section{Kept}Text.", "Kept\n\nText."),
        (r"\newenvironment{x}[1]{\begin{figure}#1}{\end{figure}}", r"a\begin{x}{b}c\end{x}d", "ad"),
        (r"\newcommand{\wrap}[1]{\newcommand{\made}[1]{##1 #1}}", r"\wrap{b}\made{a}", "a b"),
    ],
)  # fmt: skip
def test_the_macros_of_a_paper(preamble: str, source: str, expected: str) -> None:
    assert body(source, preamble) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (r"\def\x{\x}\x", "macros expand to more than"),
        (r"\def\x{a\y}\def\y{\x}\x", "macros expand to more than"),
        (r"\def\x#1{\x{#1#1}}\x{ab}", "macros expand to more than"),
        (r"\def\x{\x a}\x", "macros are nested without end"),
        ("{" * 100_000, "groups are nested deeper than"),
        ("$" + "{" * 100_000, "groups are nested deeper than"),
    ],
)
def test_what_does_not_end_is_given_up(source: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 100_000)
    with pytest.raises(ConversionError, match=reason):
        body("Text. " + source)


@pytest.mark.parametrize(
    ("source", "detail", "text"),
    [
        ("a } b", "unbalanced braces", "a b"),
        (r"a $x \section{Results} b", "a formula that does not end", "a $x$\n\nResults\n\nb"),
        (
            r"a \begin{figure} b \section{Results} c",
            "an environment does not end: figure",
            "a\n\nResults\n\nc",
        ),
        (r"a \footnote{b c", "unbalanced braces", "a"),
        (r"a \nobodyknows{b}", r"unknown command: \nobodyknows", "a b"),
        (r"a \input{gone}", "missing file: gone", "a"),
    ],
)
def test_damage_is_told_and_the_rest_is_kept(source: str, detail: str, text: str) -> None:
    paper = converted(rf"\documentclass{{article}}\begin{{document}}{source}\end{{document}}")
    assert paper.status == "partial"
    assert detail in paper.detail
    assert paper.text("full") == text


def test_empty_lines_between_the_arguments_of_an_abstract() -> None:
    source = r"\abstract{One.}" + "\n\n% aims\n" + r"{Two.}" + "\n\n" + r"{\bf Not} of it. \section{Introduction} Text."
    aa, article = (
        converted(rf"\documentclass{{{name}}}\begin{{document}}{source}\end{{document}}").abstract
        for name in ("aa", "article")
    )
    assert aa.startswith("One. Two.")
    assert article == "One."


def test_no_command_has_two_meanings() -> None:
    handled = {name[1:] for name in TEXT}
    assert not handled & (set(SKIPPED) | set(UNWRAPPED))
    assert not set(SKIPPED) & (set(UNWRAPPED) | {name[1:] for name in SYMBOLS})


def test_latin_1_and_control_characters() -> None:
    made = Package()
    made.add(
        "ms.tex",
        "\\documentclass{article}\\begin{document}d\u00e9j\u00e0\x0b vu\r\nencore\\end{document}".encode("latin-1"),
    )
    assert convert(made).text("full") == "déjà vu encore"


DOCUMENT = r"\documentclass{article}\begin{document}x\end{document}"


@pytest.mark.parametrize(
    ("files", "toplevel", "expected"),
    [
        ({"a.tex": DOCUMENT, "ms.tex": DOCUMENT}, "", "ms.tex"),
        ({"a.tex": DOCUMENT + "long", "b.tex": DOCUMENT}, "", "a.tex"),
        ({"a.tex": DOCUMENT + "long", "b.tex": DOCUMENT}, "b.tex", "b.tex"),
        ({"whole.tex": DOCUMENT.replace("x", r"\input{ms}"), "ms.tex": DOCUMENT + "long"}, "", "whole.tex"),
        ({"response.tex": DOCUMENT + "long", "b.tex": DOCUMENT}, "", "b.tex"),
        ({"a.tex": "%" + DOCUMENT + "long", "b.tex": DOCUMENT}, "", "b.tex"),
        ({"aa.sty": DOCUMENT + "long", "b": DOCUMENT}, "", "b"),
        ({"plain": r"\centerline{x}\bye", "notes": "no"}, "", "plain"),
    ],
)
def test_the_main_file(files: dict[str, str], toplevel: str, expected: str) -> None:
    assert main_file(files, toplevel) == expected


def test_no_main_file() -> None:
    with pytest.raises(NoTexError, match="no TeX among its files"):
        main_file({"readme": "Nothing."}, "")
