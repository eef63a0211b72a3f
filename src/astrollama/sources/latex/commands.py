r"""What the built-in commands do in text: headings, environments, accents, lists, links, units."""

from __future__ import annotations

import re
import unicodedata
from functools import partial

from astrollama.sources.latex import acronyms, definitions, environments, files, plain, units
from astrollama.sources.latex.interpreter import Handler, Interpreter
from astrollama.sources.latex.macros import read_argument, read_optional, read_star, skip_spaces
from astrollama.sources.latex.manuscript import (
    ABSTRACT,
    LINE,
    PARAGRAPH,
    REFERENCES,
    SECTION,
)
from astrollama.sources.latex.tokens import is_word, plain_text
from astrollama.sources.latex.vocabulary import (
    ACCENTS,
    SYMBOLS,
)

_LEVELS = {r"\part": 1, r"\chapter": 1, r"\section": 1, r"\subsection": 2, r"\subsubsection": 3}
_LEVELS |= {r"\newsec": 1, r"\subsec": 2}  # of harvmac
_ION_STAGE = re.compile("[ivx]{1,5}")


# --- the frame of the paper


def heading(interpreter: Interpreter, name: str) -> None:
    r"""\section[short]{title}: a part of the paper begins."""
    interpreter.close_captures()
    read_star(interpreter.input)
    read_optional(interpreter.input)
    interpreter.has_chapters = interpreter.has_chapters or name == r"\chapter"
    is_below = interpreter.has_chapters and name in (r"\section", r"\subsection")
    level = _LEVELS[name] + is_below
    interpreter.capture_argument(lambda title: interpreter.manuscript.begin_part(title, level, SECTION))


def run_in_heading(interpreter: Interpreter, _name: str) -> None:
    r"""\paragraph{title}: the title leads the paragraph."""
    read_star(interpreter.input)
    read_optional(interpreter.input)
    interpreter.manuscript.add(PARAGRAPH)

    def write(title: str) -> None:
        if title:
            interpreter.manuscript.add(title if title[-1] in ".:?!" else f"{title}.")
            interpreter.manuscript.add(" ")

    interpreter.capture_argument(write)


def title(interpreter: Interpreter, _name: str) -> None:
    r"""\title[short]{long}."""
    read_optional(interpreter.input)

    def keep(text: str) -> None:
        interpreter.manuscript.title = interpreter.manuscript.title or text

    interpreter.capture_argument(keep)


def abstract(interpreter: Interpreter, _name: str) -> None:
    r"""\abstract{text}, with the five arguments of A&A too, or \abstract and text up to what follows the abstract."""
    skip_spaces(interpreter.input, also_paragraphs=True)
    interpreter.manuscript.begin_part("", 1, ABSTRACT)
    if interpreter.input.peek() != "{":
        return
    interpreter.input.push(["{", *_abstract_arguments(interpreter), "}", r"\endabstract"])


def _abstract_arguments(interpreter: Interpreter) -> list[str]:
    tokens = read_argument(interpreter.input)
    is_aa = interpreter.document_class in ("aa", "l-aa")
    for _ in range(4):
        skip_spaces(interpreter.input, also_paragraphs=is_aa)
        if interpreter.input.peek() != "{":
            break
        tokens = [*tokens, " ", *read_argument(interpreter.input)]
    return tokens


def end_abstract(interpreter: Interpreter, _name: str) -> None:
    r"""\endabstract, and \keywords or \maketitle where no \end{abstract} stood before."""
    interpreter.manuscript.end_abstract()


def end_abstract_and_skip(interpreter: Interpreter, _name: str) -> None:
    r"""\keywords{…}: no part of the text."""
    interpreter.manuscript.end_abstract()
    skip_spaces(interpreter.input)
    read_optional(interpreter.input)
    if interpreter.input.peek() == "{":
        read_argument(interpreter.input)


def references(interpreter: Interpreter, _name: str) -> None:
    r"""\references or \thebibliography: nothing behind it is prose."""
    interpreter.close_captures()
    interpreter.manuscript.begin_part("References", 1, REFERENCES)


def end_document(interpreter: Interpreter, _name: str) -> None:
    r"""\bye."""
    interpreter.finished = True


# --- text


def fraction(interpreter: Interpreter, _name: str) -> None:
    r"""\nicefrac{1}{2}: 1/2."""
    above, below = read_argument(interpreter.input), read_argument(interpreter.input)
    interpreter.input.push([*above, "/", *below])


def formula_of_chemistry(interpreter: Interpreter, _name: str) -> None:
    r"""\ce{H2O}: as it is typed, without signs of maths."""
    interpreter.input.push([token for token in read_argument(interpreter.input) if token not in ("^", "_")])


def accent(interpreter: Interpreter, name: str) -> None:
    r"""\'e, \c{c}, \v{\i}: the letter with its accent, composed."""
    tokens = [token for token in read_argument(interpreter.input) if token not in "{}"]
    text, rest = "", tokens
    if tokens and is_word(tokens[0]):
        text, rest = tokens[0], tokens[1:]
    elif tokens and tokens[0] in SYMBOLS:
        text, rest = {"ı": "i", "ȷ": "j"}.get(SYMBOLS[tokens[0]], SYMBOLS[tokens[0]]), tokens[1:]
    if rest:
        interpreter.input.push(rest)
    if text:
        interpreter.manuscript.add(unicodedata.normalize("NFC", text[0] + ACCENTS[name] + text[1:]))
    elif not tokens and name in (r"\~", r"\^", r"\'", r"\`", r"\""):
        interpreter.manuscript.add(name[1])


def open_maths(interpreter: Interpreter, name: str) -> None:
    r"""\( and \[."""
    interpreter.open_formula({r"\(": r"\)", r"\[": r"\]"}[name])


def ensure_maths(interpreter: Interpreter, _name: str) -> None:
    r"""\ensuremath{…} in text."""
    tokens = read_argument(interpreter.input)
    interpreter.input.push([*tokens, "}"])
    interpreter.open_formula("}")


def item(interpreter: Interpreter, _name: str) -> None:
    r"""\item[label]: a line of its own."""
    label = read_optional(interpreter.input)
    interpreter.manuscript.add(LINE)
    interpreter.manuscript.add("- ")
    if label:
        interpreter.input.push([*label, " "])


def verbatim(interpreter: Interpreter, name: str) -> None:
    r"""\verb|…| and \lstinline|…|: what stands between two equal characters."""
    source = interpreter.input
    delimiter = source.raw_character()
    if name == r"\lstinline" and delimiter == "[":
        source.raw_until("]")
        delimiter = source.raw_character()
    elif delimiter == "*":
        delimiter = source.raw_character()
    text = source.raw_until("}" if delimiter == "{" else delimiter) if delimiter.strip() else None
    interpreter.manuscript.add(text or "")


def url(interpreter: Interpreter, _name: str) -> None:
    r"""\url{…}: the address itself."""
    text = interpreter.input.raw_group()
    interpreter.manuscript.add(
        (plain_text(read_argument(interpreter.input)) if text is None else text).replace("\\", "")
    )


def href(interpreter: Interpreter, _name: str) -> None:
    r"""\href{address}{text}: the text."""
    if interpreter.input.raw_group() is None:
        read_optional(interpreter.input)
        read_argument(interpreter.input)


def first_of_two(interpreter: Interpreter, _name: str) -> None:
    r"""\texorpdfstring{TeX}{PDF}."""
    first = read_argument(interpreter.input)
    read_argument(interpreter.input)
    interpreter.input.push(first)


def quotation_mark(interpreter: Interpreter, name: str) -> None:
    r"""\lq and \rq, which make double marks in pairs."""
    skip_spaces(interpreter.input)
    is_double = interpreter.input.peek() == name
    if is_double:
        interpreter.input.next()
    interpreter.manuscript.add('"' if is_double else "'")


def quoted(interpreter: Interpreter, _name: str) -> None:
    r"""\enquote{text}."""
    read_star(interpreter.input)
    interpreter.input.push(['"', *read_argument(interpreter.input), '"'])


def soft_space(interpreter: Interpreter, _name: str) -> None:
    r"""\xspace."""
    if interpreter.soft_space_separates():
        interpreter.manuscript.add(" ")


def at_is_letter(interpreter: Interpreter, name: str) -> None:
    r"""\makeatletter and \makeatother."""
    interpreter.input.at_is_letter = name == r"\makeatletter"


def small_capitals(interpreter: Interpreter, name: str) -> None:
    r"""\textsc{…} and {\sc …}: as they are, but for the stage of an ion, H{\sc ii} as H II."""
    source, manuscript = interpreter.input, interpreter.manuscript
    if name == r"\textsc":
        tokens = read_argument(source)
        stage = plain_text(tokens)
    else:
        skip_spaces(source)
        stage = source.next() or ""
        tokens = [stage] if stage else []
    if not _ION_STAGE.fullmatch(stage):
        source.push(["{", *tokens, "}"] if name == r"\textsc" else tokens)
        return
    if manuscript.last.isalpha():
        manuscript.add(" ")
    manuscript.add(stage.upper())


def two_columns(interpreter: Interpreter, _name: str) -> None:
    r"""\twocolumn[…]: what stands above both columns, title and abstract for example."""
    interpreter.input.push(read_optional(interpreter.input) or [])


def new_paragraph(interpreter: Interpreter, _name: str) -> None:
    r"""\bigskip."""
    interpreter.manuscript.add(PARAGRAPH)


def skip_signs(interpreter: Interpreter, _name: str) -> None:
    r"""\\[2pt]: the space behind a line's end."""
    read_star(interpreter.input)
    read_optional(interpreter.input)
    interpreter.manuscript.add(" ")


# --- maths


def drop_in_maths(specification: str, interpreter: Interpreter, _name: str) -> None:
    """A command that has nothing to say in a formula."""
    interpreter.skip_arguments(specification)


def close_and_repeat(interpreter: Interpreter, name: str) -> None:
    """A heading within a formula: the formula was not closed."""
    interpreter.close_formula(is_whole=False)
    interpreter.input.push([name])


def named_in_maths(latex: str, interpreter: Interpreter, _name: str) -> None:
    """A journal's macro in a formula."""
    assert interpreter.formula is not None
    interpreter.formula.add(latex)


_HEADINGS: dict[str, Handler] = {
    **dict.fromkeys(_LEVELS, heading),
    **dict.fromkeys((r"\references", r"\References", r"\thebibliography", r"\beginrefs"), references),
}

TEXT: dict[str, Handler] = {
    **definitions.HANDLERS,
    **acronyms.HANDLERS,
    **environments.HANDLERS,
    **files.HANDLERS,
    **plain.HANDLERS,
    **units.HANDLERS,
    **_HEADINGS,
    **dict.fromkeys((r"\nicefrac", r"\sfrac", r"\frac", r"\tfrac", r"\dfrac"), fraction),
    **dict.fromkeys((r"\ce", r"\ch", r"\chem"), formula_of_chemistry),
    **dict.fromkeys((r"\paragraph", r"\subparagraph", r"\bmhead"), run_in_heading),
    **dict.fromkeys((r"\title", r"\icmltitle"), title),
    **dict.fromkeys((r"\refs", r"\refmark", r"\bibentry"), Interpreter.citation),
    r"\abstract": abstract,
    **dict.fromkeys((r"\endabstract", r"\maketitle"), end_abstract),
    **dict.fromkeys((r"\keywords", r"\subjectheadings", r"\pacs", r"\PACS", r"\keyword"), end_abstract_and_skip),
    r"\bye": end_document,
    **dict.fromkeys(ACCENTS, accent),
    r"\(": open_maths,
    r"\[": open_maths,
    r"\ensuremath": ensure_maths,
    **dict.fromkeys((r"\item", r"\itemitem"), item),
    **dict.fromkeys((r"\verb", r"\lstinline"), verbatim),
    **dict.fromkeys((r"\url", r"\path"), url),
    **dict.fromkeys((r"\href", r"\anchor"), href),
    r"\texorpdfstring": first_of_two,
    **dict.fromkeys((r"\enquote", r"\textquote"), quoted),
    **dict.fromkeys((r"\lq", r"\rq"), quotation_mark),
    r"\xspace": soft_space,
    **dict.fromkeys((r"\makeatletter", r"\makeatother"), at_is_letter),
    **dict.fromkeys((r"\textsc", r"\sc", r"\scshape"), small_capitals),
    r"\twocolumn": two_columns,
    **dict.fromkeys((r"\smallskip", r"\medskip", r"\bigskip"), new_paragraph),
    r"\\": skip_signs,
}

MATHS: dict[str, Handler] = {
    **definitions.HANDLERS,
    **files.HANDLERS,
    **dict.fromkeys((*_HEADINGS, r"\acknowledgments", r"\acknowledgements", r"\appendix"), close_and_repeat),
    **environments.IN_MATHS,
    **dict.fromkeys((r"\label", r"\eqlabel", r"\color", r"\footnotemark"), partial(drop_in_maths, "om")),
    **dict.fromkeys(
        (r"\nonumber", r"\notag", r"\ensuremath", r"\xspace", r"\protect", r"\relax", r"\fl"),
        partial(drop_in_maths, ""),
    ),
    **dict.fromkeys((r"\textcolor", r"\footnote"), partial(drop_in_maths, "om")),
    r"\tag": partial(drop_in_maths, "sm"),
    r"\noalign": partial(drop_in_maths, "m"),
    **dict.fromkeys((r"\raise", r"\lower", r"\kern", r"\mkern", r"\hskip", r"\mskip"), partial(drop_in_maths, "d")),
    r"\texorpdfstring": first_of_two,
    **dict.fromkeys((r"\makeatletter", r"\makeatother"), at_is_letter),
    **dict.fromkeys((r"\msun", r"\Msun"), partial(named_in_maths, r"M_\odot")),
    **dict.fromkeys((r"\lsun", r"\Lsun"), partial(named_in_maths, r"L_\odot")),
    **dict.fromkeys((r"\rsun", r"\Rsun"), partial(named_in_maths, r"R_\odot")),
    r"\sun": partial(named_in_maths, r"\odot"),
    **dict.fromkeys((r"\la", r"\lta", r"\lsim", r"\ltsim"), partial(named_in_maths, r"\lesssim")),
    **dict.fromkeys((r"\ga", r"\gta", r"\gsim", r"\gtsim"), partial(named_in_maths, r"\gtrsim")),
}
