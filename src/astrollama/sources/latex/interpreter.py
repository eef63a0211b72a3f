r"""TeX to text: one pass over the tokens of a paper, macros expanded on the way, prose and maths written as they come.

Nothing recurses, whatever the paper nests: groups, formulas and files are entries of lists. What cannot be understood is
noted in `problems`, and the reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from astrollama.sources.latex.limits import MAX_GROUP_DEPTH
from astrollama.sources.latex.macros import (
    Builtin,
    Definitions,
    Macro,
    expand,
    follows,
    read_argument,
    read_optional,
    read_star,
    read_until,
    skip_spaces,
)
from astrollama.sources.latex.manuscript import PARAGRAPH, Manuscript
from astrollama.sources.latex.maths import Formula
from astrollama.sources.latex.problems import ConversionError, Problems
from astrollama.sources.latex.settings import skip_settings
from astrollama.sources.latex.tokens import PAR, SOFT, SPACES, Input, is_command, is_word, plain_text
from astrollama.sources.latex.vocabulary import MATHS_SIGNS, SKIPPED, SYMBOLS, UNWRAPPED

Handler = Callable[["Interpreter", str], None]

CITE, REF = "[CITE]", "[REF]"
_CITATION = re.compile(r"\\(?:[A-Za-z]{0,10}(?<!ex)cite|Cite)[A-Za-z]*")
_REFERENCE = re.compile(r"\\(?:[A-Za-z]{0,8}ref|[Cc]refrange|[Cc]?pagerefrange)")
_SPACE_BETWEEN = re.compile("( )")
_ICON = re.compile(r"\\(?:fa|ai)[A-Z][A-Za-z]*")  # of fontawesome and academicons
_DIMENSION = re.compile(
    r"[-+]*(?:\d+[.,]?\d*|[.,]\d+)?\s*(?:true)?\s*(?:pt|mm|cm|in|ex|em|bp|pc|dd|cc|sp|mu|fil+)?", re.IGNORECASE
)
_ENGINE_SWITCHES: dict[str, Macro | Builtin] = {
    **dict.fromkeys((r"\ifpdf", r"\ifPDFTeX", r"\ifpdftex"), Builtin(r"\iftrue")),
    **dict.fromkeys((r"\ifxetex", r"\ifluatex", r"\ifXeTeX", r"\ifLuaTeX"), Builtin(r"\iffalse")),
}
_NO_SPACE_BEFORE = frozenset(".,;:!?)'/-~}]")


class Interpreter:
    """Reads a paper and writes its manuscript.

    Attributes:
        files: the texts of the package by name.
        commands: what each built-in command does, in text.
        maths_commands: the same within maths, where all others stay as they are.
        document_class: the name of the paper's class, "" where it has none.
        num_conditions: how many conditionals are open.
        has_chapters: whether sections lie below chapters.
        acronyms: what is printed for the key of an acronym.
        problems: what could not be understood.
    """

    def __init__(
        self, files: Mapping[str, str], commands: Mapping[str, Handler], maths_commands: Mapping[str, Handler]
    ) -> None:
        self.files = files
        self.commands = commands
        self.maths_commands = maths_commands
        self.input = Input()
        self.definitions = Definitions(dict(_ENGINE_SWITCHES))
        self.manuscript = Manuscript()
        self.problems = Problems()
        self.document_class = ""
        self.num_conditions = 0
        self.has_chapters = False
        self.acronyms: dict[str, list[str]] = {}
        self.in_body = False
        self.finished = False
        self.num_included = 0
        self.included_only: frozenset[str] | None = None
        self.formula: Formula | None = None
        self._num_captures = 0
        self._groups: list[Callable[[str], None] | None] = []  # what to do with the text of each open group

    def run(self) -> Manuscript:
        """Read everything.

        Raises:
            ConversionError: the paper is beyond a limit.
        """
        while not self.finished and (token := self.input.next()) is not None:
            if self.formula is not None:
                self._maths_token(self.formula, token)
            else:
                self._text_token(token)
        self.close_captures()
        for damage in self.input.damage:
            self.problems.note(damage)
        return self.manuscript

    # --- text

    def _text_token(self, token: str) -> None:
        manuscript = self.manuscript
        if token == PAR:
            manuscript.add(PARAGRAPH)
        elif token == " ":
            manuscript.add(" ")
        elif is_command(token):
            self.command(token)
        elif token == "{":
            self.open_group(None)
        elif token == "}":
            self._close_group()
        elif token == "$":
            self._open_dollar()
        elif token in "~&":
            manuscript.add(" ")
        elif token not in (SOFT, "#"):
            manuscript.add_word(token)

    def command(self, name: str) -> None:
        """Obey a command in text."""
        meaning = self.definitions.macros.get(name)
        if isinstance(meaning, Macro):
            self._expand_in_text(meaning)
            return
        if isinstance(meaning, Builtin):
            name = meaning.name
        handler = self.commands.get(name)
        if handler is not None:
            handler(self, name)
        elif name in SYMBOLS:
            self.manuscript.add(SYMBOLS[name])
        elif name[1:] in SKIPPED:
            self.skip_arguments(SKIPPED[name[1:]])
        elif name[1:] in UNWRAPPED:
            self.skip_arguments(UNWRAPPED[name[1:]])
        elif name in MATHS_SIGNS:
            self.manuscript.add(f"${name}$")
        elif _CITATION.fullmatch(name):
            self.citation(name)
        elif _REFERENCE.fullmatch(name):
            self.reference(name)
        elif not _ICON.fullmatch(name):
            self._unknown_command(name)

    def _expand_in_text(self, macro: Macro) -> None:
        r"""Expand a macro; a space typed behind its name, which TeX would swallow, is kept where words would run together.

        Behind a macro in the middle of a word there is none: `Espa\n a`.
        """
        if macro.is_fixed and not self.manuscript.last.isalpha() and self.soft_space_separates():
            self.input.push([" "])
        expand(macro, self.input)

    def soft_space_separates(self) -> bool:
        """Whether white space comes next that stands between two words."""
        token = self.input.next()
        if token is None:
            return False
        following = self.input.peek() if token == SOFT else None
        self.input.push([token])
        return following is not None and following[0] not in _NO_SPACE_BEFORE and following not in SPACES

    def _unknown_command(self, name: str) -> None:
        if self.input.peek() == "=":  # a register that the paper has made
            self.read_dimension()
            return
        skip_settings(self.input)
        if self.in_body:
            self.problems.note("unknown command", name)

    def citation(self, name: str) -> None:
        """Pass over the arguments of a citation and write its placeholder."""
        read_star(self.input)
        has_many = name.endswith("cites")  # \citep has one list of keys, biblatex's \parencites(see)()[1]{a}[2]{b} many
        while has_many and (self.input.peek() or "").startswith("("):
            if read_until((")",), self.input) is None:
                break
        while True:
            while read_optional(self.input) is not None:
                pass
            if not follows(self.input, "{"):
                break
            read_argument(self.input)
            if not has_many:
                break
        self._write_placeholder(CITE)

    def reference(self, name: str) -> None:
        """Pass over the argument of a reference, the two of a range, and write its placeholder."""
        self.skip_arguments("smm" if name.endswith("range") else "sm")
        self._write_placeholder(REF)

    def _write_placeholder(self, text: str) -> None:
        if self.formula is not None:
            self.formula.add(text)
        else:
            self.manuscript.add(text)

    # --- groups and what is captured

    def open_group(self, on_close: Callable[[str], None] | None) -> None:
        """Enter a group; with `on_close` its text is captured and handed over at the end."""
        if len(self._groups) >= MAX_GROUP_DEPTH:
            raise ConversionError(f"groups are nested deeper than {MAX_GROUP_DEPTH}")
        if on_close is not None:
            self._num_captures += 1
            self.manuscript.begin_capture()
        self._groups.append(on_close)

    def capture_argument(self, on_close: Callable[[str], None]) -> None:
        """Hand the text of the argument that follows to `on_close`, once it is read."""
        skip_spaces(self.input, also_paragraphs=True)
        if self.input.peek() != "{":
            self.input.push(["{", *read_argument(self.input), "}"])
        self.input.next()
        self.open_group(on_close)

    def _close_group(self) -> None:
        if not self._groups:
            if self.in_body:
                self.problems.note("unbalanced braces")
            return
        on_close = self._groups.pop()
        if on_close is not None:
            self._num_captures -= 1
            on_close(self.manuscript.end_capture())

    def close_captures(self) -> None:
        """End a formula or a captured title that is still open where another part begins: a mistake of the paper."""
        if self.formula is not None:
            self.close_formula(is_whole=False)
        while self._num_captures:
            self.problems.note("unbalanced braces")
            self._close_group()

    # --- maths

    def open_formula(self, closer: str) -> None:
        """Begin a formula that ends with `closer`."""
        self.formula = Formula(closer)

    def close_formula(self, *, is_whole: bool = True) -> None:
        """Write the formula out."""
        formula = self.formula
        assert formula is not None
        self.formula = None
        if not is_whole or formula.depth:
            self.problems.note("a formula that does not end")
        latex = formula.latex()
        if latex.strip() and formula.is_display:
            latex = f"\n{latex}\n"
        elif latex.strip() and self.manuscript.last == "$":
            latex = " " + latex  # else two formulas side by side would read as the beginning of a display
        if latex:
            self.manuscript.add(latex)

    def _open_dollar(self) -> None:
        if self.input.peek() == "$":
            self.input.next()
            self.open_formula("$$")
        else:
            self.open_formula("$")

    def _maths_token(self, formula: Formula, token: str) -> None:
        if token == "{":
            if formula.depth >= MAX_GROUP_DEPTH:
                raise ConversionError(f"groups are nested deeper than {MAX_GROUP_DEPTH}")
            formula.open_brace()
        elif token == "}":
            if formula.depth:
                formula.close_brace()
            elif formula.closer == "}":
                self.close_formula()
            else:
                self.close_formula(is_whole=False)
                self.input.push([token])
        elif token == "$":
            self._dollar(formula)
        elif token == PAR:
            if formula.closer in ("$", "$$", "\\)"):
                self.close_formula(is_whole=False)
                self.input.push([token])
            else:
                formula.add(token)
        elif token == formula.closer:
            self.close_formula()
        elif is_command(token):
            self._maths_command(formula, token)
        else:
            formula.add(token)

    def _dollar(self, formula: Formula) -> None:
        self.input.charge(formula.depth)
        if formula.dollar():
            return
        if formula.closer == "$":
            self.close_formula()
        elif formula.closer == "$$":
            if self.input.peek() == "$":
                self.input.next()
            self.close_formula()
        # in an environment or in \ensuremath a dollar sign has nothing to say

    def _maths_command(self, formula: Formula, name: str) -> None:
        meaning = self.definitions.macros.get(name)
        if isinstance(meaning, Macro):
            expand(meaning, self.input)
            return
        if isinstance(meaning, Builtin):
            name = meaning.name
        handler = self.maths_commands.get(name)
        if handler is not None:
            handler(self, name)
        elif _CITATION.fullmatch(name):
            self.citation(name)
        elif _REFERENCE.fullmatch(name):
            self.reference(name)
        else:
            formula.add(name)

    # --- arguments

    def skip_arguments(self, specification: str) -> None:
        """Pass over arguments: `s` star, `o` optional, `m` in braces, `a` in braces or not, `d` dimension, `c` command."""
        for kind in specification:
            if kind == "s":
                read_star(self.input)
            elif kind == "o":
                read_optional(self.input)
            elif kind == "m":
                if follows(self.input, "{"):
                    read_argument(self.input)
            elif kind == "a":
                read_argument(self.input)
            elif kind == "d":
                self.read_dimension()
            else:
                skip_spaces(self.input)
                token = self.input.next()
                if token is not None and not is_command(token):
                    self.input.push([token])

    def read_dimension(self) -> str:
        """Pass over a number or a length, `=` before it and stretch behind it; what it was."""
        length = self._read_length()
        for word in ("plus", "minus"):
            skip_spaces(self.input)
            token = self.input.next()
            if token is not None and is_word(token) and token.startswith(word):
                if token != word:
                    self.input.push([token[len(word) :]])
                self._read_length()
            elif token is not None:
                self.input.push([token])
        return length

    def _read_length(self) -> str:
        read: list[str] = []
        skip_spaces(self.input)
        token = self.input.next()
        if token == "=":
            skip_spaces(self.input)
            token = self.input.next()
        while token is not None and len(read) < 6 and (is_word(token) or (token == " " and read)):
            read.append(token)
            match = _DIMENSION.match("".join(read))
            if match is not None and match.end() < len("".join(read)):
                break
            token = self.input.next()
        else:
            if token is not None and is_command(token) and token != PAR and _belongs_to_length(token, read):
                if token == r"\magstep":
                    read_argument(self.input)
                return plain_text([*read, token])
            if token is not None:
                self.input.push([token])
        text = "".join(read)
        match = _DIMENSION.match(text)
        used = match.end() if match is not None else 0
        self.input.push([part for part in _SPACE_BETWEEN.split(text[used:]) if part])
        return text[:used].strip()


def _belongs_to_length(command: str, read: list[str]) -> bool:
    r"""Whether a command ends the length that was read so far: a register alone or with a factor, `.5\baselineskip`."""
    text = "".join(read)
    return text.strip() in ("", "+", "-") or (text[-1].isdigit() and SKIPPED.get(command[1:]) == "d")
