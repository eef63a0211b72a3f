"""Named objects in a text: designations of catalogues, and names of well-known objects, surveys, missions and instruments."""

from __future__ import annotations

import re
from functools import cache

from astrollama.evaluation.continuations.observatories import CANONICAL, pattern

# A position in a name: B1919+21, J0437-4715, J123456.78+123456.7
_POSITION = r"\d{2,8}(?:\.\d+)?\s?[+-]\s?\d{2,8}(?:\.\d+)?"
# Catalogues whose names are a number.
_NUMBERED = (
    "3C|4C|Arp|Barnard|DDO|EPIC|GSN|HATS|HD|HH|HIP|HR|IC|KELT|KIC|KOI|LHS|LP|LTT|Melotte|NGC|NGTS|PGC|RCW|Ross|SS|TIC|TOI|"
    "Terzan|Trumpler|UGC|VFTS|WASP|Wolf|XO|CoRoT|HAT-P|K2|Kepler|Messier|eRO-QPE"
)
# Those that are written in several ways.
_SPELLINGS = {
    "Abell": "Abell|ACO",
    "GJ": "GJ|Gl|Gliese",
    "LDN": r"LDN|Lynds|L(?=\d{4}\b)",
    "Mrk": "Mrk|Mkn|Markarian",
    "Palomar": "Pal|Palomar",
    "Sh2": r"Sh\s?2",
    "TRAPPIST": "TRAPPIST|Trappist",
    "Westerlund": "Westerlund|Wd",
}
# Kinds of events whose names are a date or a year with letters.
_EVENTS = {
    "SN": r"(?:SNe?)\s?-?((?:1[6-9]|20)\d\d[A-Z]?[a-z]{0,4})",
    "AT": r"AT\s?(20\d\d[a-z]{1,4})",
    "GRB": r"GRB[\s-]?(\d{6}[A-Z]?)",
    "FRB": r"FRB[\s-]?(\d{6,8}[A-Z]?)",
    "GW": r"GW[\s-]?(\d{6}(?:_\d{6})?)",
    "S": r"S(\d{6}[a-z]{1,3})",
    "ZTF": r"ZTF(\d\d[a-z]{3,8})",
    "ASASSN": r"ASASSN-(\d\d[a-z]{1,3})",
    "EP": r"EP[\s-]?J?(\d{6}[a-z]?)",
    "GOTO": r"GOTO(\d\d[a-z]{1,5})",
    "iPTF": r"i?PTF\s?(\d\d[a-z]{1,4})",
}
_POSITIONED = (
    r"PSR|PKS|SDSS|2MASS|2MASX|WISE[A]?|RX|1RXS|XTE|MAXI|Swift|IGR|GRS|GRO|GX|4U|1E|1ES|1H|3FGL|4FGL|SGR|AXP|HESS|VER|LHAASO"
    r"|CXOU?|[1-4]?XMMU?|PSO|ULAS|VIK|DES|SPT-CL|ACT-CL|MACS|RXC|CL|PMN|TXS|QSO|IRAS|ESO|MCG|SPT|NVSS|FIRST|Gaia|eRASSU?|4XMM"
    r"|PG|EC|SBS|HE|H|B2|S5|OJ|BD|CD|TYC|UCAC|WD|LSPM|VVV|IC\s?443|LS\s?I|G"
)
_COMETS = r"\d{1,3}[PI]/[A-Z][\w'-]+|[CP]/(?:19|20)\d\d\s[A-Z]\d{1,2}|(?:19|20)\d\d\s[A-Z]{2}_?\{?\d{1,3}\}?"

_LATEX = [
    (re.compile(r"\$\s*([-+−–])\s*\$"), r"\1"),
    (re.compile(r"[−–]|--"), "-"),
    (re.compile(r"~|\\[,; ]"), " "),
    (re.compile(r"\$?\^?\{?\s*\\(?:ast|star)\b\s*\}?\$?|\$\s*\^?\s*\{?\s*\*\s*\}?\s*\$"), "*"),
    (re.compile(r"\$?\\(alpha|beta|tau|epsilon|omega|eta)\b\s*\$?"), r"\1"),
    (re.compile(r"\{?\\(?:it|em|textit|emph|textsc|sc|rm|mathrm|text)\b\s*\{?([\w+*/. -]*)\}*"), r"\1"),
]


def find_objects(text: str) -> tuple[frozenset[str], str]:
    """The names in a text, each in one spelling, and the text without them."""
    for spelled, plain in _LATEX:
        text = spelled.sub(plain, text)
    found: set[str] = set()
    for expression, named in _expressions():

        def keep(match: re.Match[str], named: str = named) -> str:
            found.add(_name(match, named))
            return " ; "

        text = expression.sub(keep, text)
    return frozenset(found), text


@cache
def _expressions() -> list[tuple[re.Pattern[str], str]]:
    """What is looked for in turn, and the catalogue that it is of; "" where the match tells it."""
    numbered = [
        (
            re.compile(rf"(?<![\w-])(?:{written})[\s-]?(\d{{1,8}}(?:\.\d{{1,2}})?(?:-\d{{1,3}})?)\s?[A-Ha-i]?(?![\w])"),
            name,
        )
        for name, written in ({name: name for name in _NUMBERED.split("|")} | _SPELLINGS).items()
    ]
    events = [(re.compile(rf"(?<![\w-]){written}(?!\w)"), name) for name, written in _EVENTS.items()]
    return [
        (re.compile(rf"(?<![\w-])(?:{_POSITIONED})[\s-]?[JBG]?\s?{_POSITION}(?:[A-Za-z](?![A-Za-z]))?"), ""),
        (re.compile(r"(?<![\w+-])[JB]\d{4,6}(?:\.\d+)?[+-]\d{2,6}(?:\.\d+)?"), ""),
        (re.compile(r"(?<![\w-])GX?\s?\d{1,3}(?:\.\d+)?[+-]\d{1,3}(?:\.\d+)?(?!\w)"), ""),
        *numbered,
        *events,
        (re.compile(r"(?<![\w-])M\s?(\d{2,3}|[1-9])(?![\w.%]|\s?(?:[x×]|M_|\\|dwarf|[-+]?\d))"), "Messier"),
        (re.compile(r"(?<![\w-])A(\d{3,4})(?!\w)"), "Abell"),
        (re.compile(rf"(?<!\w)(?:{_COMETS})"), ""),
        (re.compile(pattern()), ""),
    ]


def _name(match: re.Match[str], catalogue: str) -> str:
    """One spelling for what may be written in several, such as `PSR B1919+21` and `PSR B 1919 + 21`."""
    if catalogue:
        return f"{catalogue} {match[1]}"
    written = " ".join(match[0].split())
    return CANONICAL.get(written) or re.sub(r"[\s_{}]", "", written)
