r"""Checkable facts of a text: its numbers and the named objects, surveys, missions and instruments.

What counts as a number: digits with their power of ten, scale (`million`) and unit, in plain text or LaTeX; of a compound
unit the first part (`km` of `km s^{-1}`). Years count, for an invented date is invented. What does not: digits in names
(`NGC 1275`, `DR3`, `H_0`, `$\sigma_8$`, `$^{13}$CO`, `X-1`), exponents of units, uncertainties written as superscripts and
subscripts, labels of lists and citations, dimensions (`3D`), and levels of transitions such as `(2-1)`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from astrollama.evaluation.continuations.objects import find_objects


class Number(NamedTuple):
    """A value, written in one way whatever stood there (`3`, `1E+45`), and the first part of its unit or ""."""

    value: str
    unit: str


@dataclass(frozen=True)
class Facts:
    """The facts of a text, each once."""

    numbers: frozenset[Number]
    objects: frozenset[str]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.objects)

    def names(self) -> list[str]:
        """All of them as a person reads them."""
        return [f"{number.value} {number.unit}".strip() for number in sorted(self.numbers)] + sorted(self.objects)

    def beyond(self, evidence: Facts) -> Facts:
        """Those that `evidence` does not hold; a number without a unit agrees with the same value of any unit."""
        units: dict[str, set[str]] = {}
        for value, unit in evidence.numbers:
            units.setdefault(value, set()).add(unit)
        held = {
            number
            for number in self.numbers
            if (known := units.get(number.value)) and (not number.unit or number.unit in known or "" in known)
        }
        return Facts(self.numbers - held, self.objects - evidence.objects)

    def agreement(self, other: Facts) -> float | None:
        """The share of the facts of either that both have (Jaccard); None where neither has any."""
        either = len(self.numbers | other.numbers) + len(self.objects | other.objects)
        both = len(self.numbers & other.numbers) + len(self.objects & other.objects)
        return both / either if either else None


def find_facts(text: str) -> Facts:
    """The facts of a text."""
    objects, rest = find_objects(text)
    return Facts(frozenset(_numbers(rest)), objects)


_SPELLINGS = {
    r"(\\[A-Za-z]+)(?=\d)": r"\1 ",
    r"\\[,;:! ]|~|\\quad": " ",
    r"\{,\}": ",",
    r"\$": "",
    r"[−–—]|--+": "-",
    r"\\pm|\+/-": "±",
    r"\\times|\\cdot|×|·": " x ",
    r"\\%": "%",
    r"\\(?:rm|mathrm|text|textrm|it|bf|mathbf|,)\b": " ",
    r"\bM\s*_?\s*\{?\s*(?:\\odot|\\sun|☉|⊙)\s*\}?|\\msun\b|\\Msun\b|\bsolar mass(?:es)?\b": " Msun ",
    r"\bL\s*_?\s*\{?\s*(?:\\odot|\\sun|☉|⊙)\s*\}?|\\lsun\b|\\Lsun\b|\bsolar luminosit(?:y|ies)\b": " Lsun ",
    r"\bR\s*_?\s*\{?\s*(?:\\odot|\\sun|☉|⊙)\s*\}?|\\rsun\b|\\Rsun\b|\bsolar radi(?:us|i)\b": " Rsun ",
    r"\bM\s*_\s*\{?\s*(?:\\oplus|⊕)\s*\}?|\bEarth mass(?:es)?\b": " Mearth ",
    r"\bR\s*_\s*\{?\s*(?:\\oplus|⊕)\s*\}?|\bEarth radi(?:us|i)\b": " Rearth ",
    r"\bM\s*_\s*\{?\s*(?:J|Jup|\\rm\s*J|\\rm\s*Jup)\s*\}?|\bJupiter mass(?:es)?\b": " Mjup ",
    r"\bR\s*_\s*\{?\s*(?:J|Jup|\\rm\s*J|\\rm\s*Jup)\s*\}?|\bJupiter radi(?:us|i)\b": " Rjup ",
    r"\^\s*\{?\s*\\circ\s*\}?|\\degr\b|°|\\deg\b|\bdegrees?\b": " deg ",
    r"\\arcsec\b|\barc ?seconds?\b|\barcsecs\b|\^\s*\{\s*\\prime\s*\\prime\s*\}|''|″": " arcsec ",
    r"\\arcmin\b|\barc ?minutes?\b|\barcmins\b|\^\s*\{?\s*\\prime\s*\}?|′": " arcmin ",
    r"(\d)\s*\\farcs\s*(\d+)": r"\1.\2 arcsec ",
    r"(\d)\s*\\farcm\s*(\d+)": r"\1.\2 arcmin ",
    r"(\d)\s*\\fdg\s*(\d+)": r"\1.\2 deg ",
    r"\\mu\s*(?:\\rm\s*)?|µ": "μ",
    r"\\AA\b|\b[Aa]ngstroms?\b": " Å ",
    r"\\sigma\b|\bsigma\b": "σ",
    r"\bper ?cent\b": "%",
}
_SPELLED = [(re.compile(pattern), plain) for pattern, plain in _SPELLINGS.items()]

_POWER = re.compile(
    r"(?:(?<![\w.])(?P<mantissa>\d+(?:\.\d+)?)\s*(?:x|\*)\s*)?(?<![\w.])10\s*(?:\^|\*\*)\s*"
    r"(?:\{\s*(?P<braced>[-+]?\d+(?:\.\d+)?)(?:\s*-\s*(?P<to>\d+(?:\.\d+)?))?\s*\}|(?P<bare>[-+]?\d+(?:\.\d+)?))"
)
_SCRIPT = re.compile(r"\s*[\^_]\s*(?:\{[^{}]*\}|\\[A-Za-z]+|[-+]?\d+(?:\.\d+)?|\w+|\S)")
_LABEL = re.compile(
    r"\(\d{1,2}\)|(?<!\S)\d{1,2}\)|(?:^|(?<=[.:;]\s))\d{1,2}\.\s+(?=[A-Z])|\(\d{1,2}\s*-\s*\d{1,2}\)"
    r"|\[\d{1,3}(?:[\s,-]+\d{1,3})*\]|\bJ\s*=\s*\d{1,2}\s*-\s*\d{1,2}|\b[Bb]and\s\d{1,2}\b"
    r"|\b\d{2,3}0s\b|\b\d-(?:dimensional|D)\b|\b12\s*\+\s*log\b"
)
_COMMAND = re.compile(r"\\[A-Za-z]+|[{}]")

_UNITS = (
    "km|m|cm|mm|μm|nm|Å|pc|kpc|Mpc|Gpc|au|ly|"
    "s|ms|μs|ns|min|h|d|yr|kyr|Myr|Gyr|Hz|kHz|MHz|GHz|THz|meV|eV|keV|MeV|GeV|TeV|PeV|EeV|erg|J|W|"
    "Jy|mJy|μJy|K|mK|μK|kK|nK|mag|dex|%|deg|arcmin|arcsec|mas|μas|Msun|Lsun|Rsun|Mearth|Rearth|Mjup|Rjup|"
    "G|kG|mG|μG|nG|T|σ|g|kg|ppm"
)
_UNIT_WORDS = {
    "years?": "yr", "days?": "d", "hours?|hrs?": "h", "AU": "au", "minutes?": "min", "mins": "min", "seconds?": "s", "secs?": "s",
    "microns?": "μm", "um": "μm", "parsecs?": "pc", "kiloparsecs?": "kpc", "megaparsecs?": "Mpc", "magnitudes?|mags": "mag",
    "milliarcsec(?:ond)?s?": "mas", "met(?:er|re)s?": "m", "kilomet(?:er|re)s?": "km", "light[ -]years?": "ly",
    "Gyrs": "Gyr", "Myrs": "Myr", "yrs": "yr", "kelvin": "K", "gauss|Gauss": "G",
}  # fmt: skip
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}

_unit_pattern = "|".join(sorted([*_UNITS.split("|"), *_UNIT_WORDS], key=len, reverse=True))
_NUMBER = re.compile(
    r"(?<![\w.^])(?<![A-Za-z]-)(?P<sign>(?<=[\s=(<>≈~±\[])-|^-)?"
    r"(?>(?P<digits>\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+(?![.\d]))(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<power>e[-+]?\d+(?:\.\d+)?)?)(?:[\s-]*(?P<scale>thousand|million|billion|trillion)\b)?"
    rf"(?:[\s-]*(?P<unit>{_unit_pattern})(?![A-Za-z\d]))?(?![A-Za-zΑ-ωÅ\d])"
)
_BETWEEN = re.compile(r"\s*(?:-|to|and|or|,|±|/|,\s*and)\s*")


def _numbers(text: str) -> Collection[Number]:
    """The numbers of a text without named objects."""
    matches = list(_NUMBER.finditer(_plain(text)))
    found: list[Number] = []
    unit = ""
    for index in reversed(range(len(matches))):
        match = matches[index]
        own = _unit(match["unit"])
        last = index + 1 == len(matches)
        # in "10 to 20 kpc" and "3 ± 1 kpc" both numbers have the unit
        shared = "" if last or not _BETWEEN.fullmatch(match.string, match.end(), matches[index + 1].start()) else unit
        unit = own or shared
        found.append(Number(_value(match), unit))
    return found


def _plain(text: str) -> str:
    """The text with its numbers and units in one spelling, and without scripts, labels and commands."""
    for pattern, plain in _SPELLED:
        text = pattern.sub(plain, text)
    text = _POWER.sub(_as_power, text)
    text = _SCRIPT.sub("", text)
    return _COMMAND.sub(" ", _LABEL.sub(" ", text))


def _as_power(match: re.Match[str]) -> str:
    mantissa = match["mantissa"] or "1"
    ends = [match["braced"] or match["bare"], match["to"]]
    return " - ".join(f"{mantissa}e{end}" for end in ends if end)


def _unit(written: str | None) -> str:
    words = (unit for pattern, unit in _UNIT_WORDS.items() if written and re.fullmatch(pattern, written))
    return next(words, written or "")


def _value(match: re.Match[str]) -> str:
    digits = Decimal(re.sub("[, ]", "", match["digits"]))
    sign = "-" if match["sign"] and digits else ""
    power = match["power"] or "e0"
    if "." in power:  # 10^{4.5} has no short decimal form
        return f"{sign}{digits.normalize():f}{power}"
    exponent = int(power[1:]) + _SCALES.get(match["scale"] or "", 0)
    value = digits.scaleb(max(-999, min(999, exponent))).normalize()
    if not digits:
        return "0"
    return f"{sign}{value:f}" if -5 <= value.adjusted() < 7 else f"{sign}{value:E}"
