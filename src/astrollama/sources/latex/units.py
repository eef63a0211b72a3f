r"""Ions, numbers and units: \ion{H}{ii}, siunitx's \num, \SI and \si."""

from __future__ import annotations

import re

from astrollama.sources.latex.interpreter import Handler, Interpreter
from astrollama.sources.latex.macros import read_argument, read_optional, skip_spaces
from astrollama.sources.latex.tokens import SPACES, is_command, plain_text

_EXPONENT = re.compile(r"(?<=[\d.])\s*[eEdD]\s*([-+]?\d+)")
_PREFIXES = {
    "kilo": "k", "mega": "M", "giga": "G", "tera": "T", "peta": "P", "exa": "E", "centi": "c", "deci": "d", "milli": "m",
    "micro": "μ", "nano": "n", "pico": "p", "femto": "f", "atto": "a", "hecto": "h", "deca": "da",
}  # fmt: skip
_UNITS = {
    "metre": "m", "meter": "m", "second": "s", "gram": "g", "kilogram": "kg", "kelvin": "K", "ampere": "A", "mole": "mol",
    "hertz": "Hz", "newton": "N", "pascal": "Pa", "joule": "J", "watt": "W", "volt": "V", "tesla": "T", "coulomb": "C",
    "electronvolt": "eV", "eV": "eV", "keV": "keV", "MeV": "MeV", "GeV": "GeV", "TeV": "TeV", "minute": "min",
    "hour": "h", "day": "d", "year": "yr", "degree": "°", "arcminute": "′", "arcsecond": "″", "arcsec": "″",
    "angstrom": "Å", "parsec": "pc", "astronomicalunit": "au", "percent": "%", "litre": "L", "radian": "rad",
    "steradian": "sr", "celsius": "°C", "degreeCelsius": "°C", "gauss": "G", "jansky": "Jy", "erg": "erg", "bar": "bar",
    "dex": "dex", "solarmass": "$M_\\odot$", "lightyear": "ly", "km": "km", "cm": "cm", "mm": "mm", "nm": "nm", "um": "μm",
    "mK": "mK", "MHz": "MHz", "GHz": "GHz", "kHz": "kHz", "ms": "ms", "ns": "ns", "mas": "mas", "kg": "kg", "bit": "bit",
    "byte": "B", "decibel": "dB", "barn": "b", "au": "au", "pc": "pc", "kpc": "kpc", "Mpc": "Mpc", "m": "m", "s": "s",
}  # fmt: skip
_POWER = re.compile(r"-?[0-9]{1,3}")
_POWERS = {"squared": 2, "cubed": 3, "square": 2, "cubic": 3}


def ion(interpreter: Interpreter, _name: str) -> None:
    r"""\ion{H}{ii}: H II."""
    element = read_argument(interpreter.input)
    skip_spaces(interpreter.input)
    stage = plain_text(
        token for token in read_argument(interpreter.input) if token not in "{}" and not is_command(token)
    )
    if stage.isdecimal() and len(stage) < 4:
        stage = roman(int(stage))
    interpreter.input.push([*element, " ", stage.upper() or " "])


def number(interpreter: Interpreter, _name: str) -> None:
    r"""\num{1.2e3}."""
    read_optional(interpreter.input)
    interpreter.manuscript.add(_number(plain_text(read_argument(interpreter.input))))


def quantity(interpreter: Interpreter, _name: str) -> None:
    r"""\SI{10}{\km\per\s} and \qty."""
    read_optional(interpreter.input)
    value = _number(plain_text(read_argument(interpreter.input)))
    read_optional(interpreter.input)
    interpreter.manuscript.add(f"{value} {unit_text(read_argument(interpreter.input))}".strip())


def list_of(interpreter: Interpreter, name: str) -> None:
    r"""\SIrange{1}{2}{\m}, \numrange{1}{2}, \SIlist{1;2;3}{\m}, \numlist{1;2;3}."""
    source = interpreter.input
    read_optional(source)
    first = plain_text(read_argument(source))
    values = [first, plain_text(read_argument(source))] if name.endswith("range") else first.split(";")
    sign = "–" if name.endswith("range") else ", "
    text = sign.join(_number(value.strip()) for value in values)
    measure = "" if name.startswith(r"\num") else unit_text(read_argument(source))
    interpreter.manuscript.add(f"{text} {measure}".strip())


def element(interpreter: Interpreter, _name: str) -> None:
    r"""\element[charge][nucleons]{C} of A&A's class."""
    read_optional(interpreter.input)
    nucleons = read_optional(interpreter.input)
    interpreter.skip_arguments("oo")
    if nucleons:
        interpreter.input.push(["$", "^", "{", *nucleons, "}", "$", *read_argument(interpreter.input)])


def unit(interpreter: Interpreter, _name: str) -> None:
    r"""\si{\km\per\s} and \unit."""
    read_optional(interpreter.input)
    interpreter.manuscript.add(unit_text(read_argument(interpreter.input)))


def angle(interpreter: Interpreter, _name: str) -> None:
    r"""\ang{1;2;3}: degrees, minutes, seconds."""
    read_optional(interpreter.input)
    parts = plain_text(read_argument(interpreter.input)).split(";")
    interpreter.manuscript.add("".join(part + sign for part, sign in zip(parts, "°′″", strict=False) if part))


def roman_numeral(interpreter: Interpreter, _name: str) -> None:
    r"""\romannumeral 3 and \uppercase\expandafter{\romannumeral 3}."""
    digits = interpreter.read_dimension()
    if digits.isdecimal() and len(digits) < 4:
        interpreter.manuscript.add(roman(int(digits)).lower())


def roman(value: int) -> str:
    """A number from 1 to 399 in Roman numerals; others as they are."""
    if not 0 < value < 400:
        return str(value)
    text = ""
    for size, sign in (
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ):
        text += sign * (value // size)
        value %= size
    return text


def unit_text(tokens: list[str]) -> str:
    r"""A unit as it is written: `\kilo\metre\per\second` is `km s$^{-1}$`."""
    parts: list[tuple[str, int]] = []
    prefix, sign, power = "", 1, 1
    for token in tokens:
        name = token.lstrip("\\")
        if token in SPACES or token in ("{", "}", "~", r"\,", "."):
            continue
        if name == "per":
            sign = -1
        elif name in _PREFIXES and is_command(token):
            prefix = _PREFIXES[name]
        elif name in _POWERS:
            if name.endswith("d") and parts:
                parts[-1] = (parts[-1][0], parts[-1][1] * _POWERS[name])
            else:
                power = _POWERS[name]
        elif token == "^" or name in ("tothe", "raiseto"):
            power = 0  # the number that follows is a power
        elif power == 0 and _POWER.fullmatch(name):
            if parts:
                parts[-1] = (parts[-1][0], parts[-1][1] * int(name))
            power = 1
        else:
            parts.append((prefix + (_UNITS.get(name, name) if is_command(token) else token), sign * (power or 1)))
            prefix, sign, power = "", 1, 1
    return " ".join(name if exponent == 1 else f"{name}$^{{{exponent}}}$" for name, exponent in parts)


def _number(text: str) -> str:
    text = text.replace("{", "").replace("}", "").replace(r"\pm", "±").replace("+-", "±")
    match = _EXPONENT.search(text)
    if match is None:
        return text
    return f"${text[: match.start()]} \\times 10^{{{int(match[1][:6])}}}$".replace("±", r"\pm")


HANDLERS: dict[str, Handler] = {
    r"\ion": ion,
    r"\num": number,
    **dict.fromkeys((r"\SI", r"\qty"), quantity),
    **dict.fromkeys((r"\si", r"\unit"), unit),
    **dict.fromkeys((r"\SIrange", r"\qtyrange", r"\SIlist", r"\qtylist", r"\numrange", r"\numlist"), list_of),
    r"\element": element,
    r"\ang": angle,
    **dict.fromkeys((r"\romannumeral", r"\Romannumeral"), roman_numeral),
}
