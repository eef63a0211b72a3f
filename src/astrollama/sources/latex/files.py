r"""\input, \include and their kin: files of the package, by name, from memory; nothing is ever opened."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from astrollama.sources.latex.interpreter import Handler, Interpreter
from astrollama.sources.latex.limits import MAX_INCLUDED_FILES
from astrollama.sources.latex.macros import Parameter, make_macro, read_argument, read_optional, read_star, skip_spaces
from astrollama.sources.latex.problems import ConversionError
from astrollama.sources.latex.tokens import PAR, SPACES, plain_text
from astrollama.sources.latex.vocabulary import STANDARD_FILES

_STYLE_SUFFIXES = (
    ".sty",
    ".cls",
    ".def",
    ".clo",
    ".fd",
    ".cfg",
    ".bbl",
    ".bib",
    ".bst",
    ".tikz",
    ".pgf",
    ".pdf_tex",
    ".pstex_t",
)
_MAX_STYLE_CHARACTERS = 200_000


def find_file(files: Mapping[str, str], name: str, folder: str) -> str | None:
    """The name in the package of the file that `name` means, seen from `folder`; None if there is none."""
    for base in dict.fromkeys((folder, "")):
        path = posixpath.normpath(posixpath.join(base, name.strip().strip('"')))
        for candidate in (path, f"{path}.tex", f"{path}.ltx"):
            if candidate in files:
                return candidate
    return None


def read_in(interpreter: Interpreter, name: str) -> None:
    r"""\input{x} and the \input x of plain TeX; \include{x}, \subfile{x}."""
    wanted = _file_name(interpreter)
    only = interpreter.included_only
    if name != r"\include" or only is None or wanted in only or wanted.removesuffix(".tex") in only:
        include(interpreter, wanted)


def import_from(interpreter: Interpreter, _name: str) -> None:
    r"""\import{folder}{x} and \subimport."""
    read_star(interpreter.input)
    folder = plain_text(read_argument(interpreter.input))
    include(interpreter, posixpath.join(folder, plain_text(read_argument(interpreter.input))))


def include(interpreter: Interpreter, wanted: str) -> None:
    """Read a file of the package next.

    Raises:
        ConversionError: more files are included than any paper has.
    """
    found = find_file(interpreter.files, wanted, posixpath.dirname(interpreter.input.current_file))
    if found is None:
        stem, suffix = posixpath.splitext(posixpath.basename(wanted))
        if suffix not in _STYLE_SUFFIXES and stem not in STANDARD_FILES and wanted:
            interpreter.problems.note("missing file", wanted)
        return
    if interpreter.input.is_open(found):
        interpreter.problems.note("a file includes itself", found)
        return
    suffix = posixpath.splitext(found)[1]
    if (
        suffix in (".bbl", ".bib", ".cls", ".tikz", ".pgf")
        or posixpath.splitext(posixpath.basename(found))[0] in STANDARD_FILES
    ):
        return
    interpreter.num_included += 1
    if interpreter.num_included > MAX_INCLUDED_FILES:
        raise ConversionError(f"more than {MAX_INCLUDED_FILES} files are included")
    text = interpreter.files[found]
    # A file of the paper may be a whole document of its own: only its body is meant.
    begin = text.find(r"\begin{document}") if r"\documentclass" in text else -1
    if begin >= 0:
        end = text.find(r"\end{document}", begin)
        text = text[begin + len(r"\begin{document}") : end if end > 0 else len(text)]
    if suffix == ".sty" and len(text) < _MAX_STYLE_CHARACTERS:
        text = simple_definitions(text)
    interpreter.input.push_file(text, found)


def simple_definitions(text: str) -> str:
    r"""The one-line definitions of a style file that have no `@` in them: what an author puts there for a paper."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(
        line
        for line in lines
        if line.startswith((r"\newcommand", r"\renewcommand", r"\providecommand", "\\def\\", r"\DeclareMathOperator"))
        and "@" not in line
        and line.count("{") == line.count("}")
    )


def use_package(interpreter: Interpreter, _name: str) -> None:
    r"""\usepackage{x}: a style file of the paper's own may define macros."""
    read_optional(interpreter.input)
    for package in plain_text(read_argument(interpreter.input)).split(","):
        path = f"{package.strip()}.sty"
        if path in interpreter.files:
            include(interpreter, path)
        elif path == "changes.sty":  # its \replaced has the new text first, that of aastex has it last
            parameters = [Parameter("optional"), Parameter("mandatory"), Parameter("mandatory")]
            interpreter.definitions.macros[r"\replaced"] = make_macro(parameters, ["#", "2"])
    read_optional(interpreter.input)


def if_file_exists(interpreter: Interpreter, name: str) -> None:
    r"""\IfFileExists{x}{a}{b}, \InputIfFileExists{x}{a}{b}."""
    wanted = plain_text(read_argument(interpreter.input))
    chosen, other = read_argument(interpreter.input), read_argument(interpreter.input)
    exists = find_file(interpreter.files, wanted, posixpath.dirname(interpreter.input.current_file)) is not None
    interpreter.input.push(chosen if exists else other)
    if exists and name == r"\InputIfFileExists":
        include(interpreter, wanted)


def include_only(interpreter: Interpreter, _name: str) -> None:
    r"""\includeonly{a,b}."""
    names = plain_text(read_argument(interpreter.input)).split(",")
    interpreter.included_only = frozenset(part.strip().removesuffix(".tex") for part in names)


def end_input(interpreter: Interpreter, _name: str) -> None:
    r"""\endinput."""
    interpreter.input.end_file()


def _file_name(interpreter: Interpreter) -> str:
    skip_spaces(interpreter.input)
    if interpreter.input.peek() == "{":
        return plain_text(read_argument(interpreter.input))
    read: list[str] = []
    while (token := interpreter.input.next()) is not None:
        if token in SPACES or token == PAR or token[0] == "\\" or len(read) > 20:
            interpreter.input.push([token])
            break
        read.append(token)
    return "".join(read)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys((r"\input", r"\include", r"\subfile", r"\subfileinclude", r"\@input", r"\variable"), read_in),
    **dict.fromkeys((r"\import", r"\subimport", r"\includefrom", r"\subincludefrom", r"\inputfrom"), import_from),
    r"\usepackage": use_package,
    r"\RequirePackage": use_package,
    **dict.fromkeys((r"\IfFileExists", r"\InputIfFileExists"), if_file_exists),
    r"\includeonly": include_only,
    r"\endinput": end_input,
}
