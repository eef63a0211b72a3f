from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from astrollama.errors import SourceError
from astrollama.records import Paper
from astrollama.sources import bibtex_blocks
from astrollama.sources.bibtex_text import plain_text
from astrollama.sources.files import FileSource, OnError, Unreadable

ADS = r"""
@ARTICLE{2016PhRvL.116f1102A,
       author = {{Abbott}, B.~P. and {M{\"u}ller}, J.},
        title = "{The "Great Attractor," seen 5" from {NGC} 1275 and {\'E}milie}",
      journal = {\prl},
     keywords = {galaxies: active, Astrophysics - Astrophysics of Galaxies,
                 Astrophysics - High Energy Astrophysical Phenomena},
         year = 2016,
        month = feb,
          eid = {061102},
          doi = {10.1103/PhysRevLett.116.061102},
archivePrefix = {arXiv},
       eprint = {1602.03837},
 primaryClass = {gr-qc},
     abstract = "{We find {\ensuremath{\sim}}5 na{\"\i}ve \AA ngstr\"om-sized haloes
of mass M$_{\rm BH}$ {\textgreater} $10^{6}$, 10\% of all.}",
       adsurl = {https://ui.adsabs.harvard.edu/abs/2016PhRvL.116f1102A},
      adsnote = {Provided by the SAO/NASA Astrophysics Data System}
}
"""
ARXIV = """@misc{doe2020dark,
      title={Dark haloes},
      author={Jane Doe},
      year={2020},
      eprint={2001.01234v2},
      archivePrefix={arXiv},
      primaryClass={astro-ph.CO},
      abstract={Haloes are dark.}
}"""
ZOTERO = r"""
@article{doe_dark_2019,
	title = {Dark {Haloes} \& bright stars},
	volume = {12},
	url = {http://arxiv.org/abs/1905.00042},
	doi = {10.48550/arXiv.1905.00042},
	abstract = {Haloes are dark; they say “so”.},
	urldate = {2020-01-01},
	date = {2019-05-02},
	keywords = {Astrophysics - Cosmology and Nongalactic Astrophysics},
}
"""
JABREF = """% Encoding: UTF-8

@Article{Doe2018,
  author   = {Doe, Jane},
  journal  = {Astrophys. J.},
  title    = {Haloes},
  year     = {2018},
  abstract = {Haloes are {\\emph{very}} dark.},
  doi      = {https://doi.org/10.3847/1538-4357/aa1234},
  file     = {:doe.pdf:PDF},
  month    = {#dec#},
}

@Comment{jabref-meta: databaseType:bibtex;}
"""

ReadBib = Callable[..., list[Paper | Unreadable]]


@pytest.fixture
def read_bib(tmp_path: Path) -> ReadBib:
    """Write a BibTeX file and read it."""

    def read(
        content: str | bytes, on_error: OnError = "stop", text_field: str = "abstract"
    ) -> list[Paper | Unreadable]:
        path = tmp_path / "papers.bib"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [
            item for item in FileSource([path], on_error, text_field).papers() if isinstance(item, Paper | Unreadable)
        ]

    return read


def only_paper(items: list[Paper | Unreadable]) -> Paper:
    [paper] = items
    assert isinstance(paper, Paper)
    return paper


def test_an_entry_of_ads_becomes_a_paper(read_bib: ReadBib) -> None:
    assert read_bib(ADS) == [
        Paper(
            arxiv_id="1602.03837",
            title='The "Great Attractor," seen 5" from NGC 1275 and Émilie',
            abstract="We find $\\sim$5 naïve Ångström-sized haloes\nof mass M$_{\\rm BH}$ > $10^{6}$, 10% of all.",
            categories=("gr-qc", "astro-ph.GA", "astro-ph.HE"),
            primary_category="gr-qc",
            date="2016-02",
            licence="",
            origin="papers.bib:2",
        )
    ]


@pytest.mark.parametrize(
    ("entry", "arxiv_id", "title", "abstract", "date", "category"),
    [
        (ARXIV, "2001.01234v2", "Dark haloes", "Haloes are dark.", "2020-01", "astro-ph.CO"),
        (
            ZOTERO,
            "1905.00042",
            "Dark Haloes & bright stars",
            "Haloes are dark; they say “so”.",
            "2019-05-02",
            "astro-ph.CO",
        ),
        (JABREF, "10.3847/1538-4357/aa1234", "Haloes", r"Haloes are {\emph{very}} dark.", "2018-12", "unknown"),
    ],
    ids=["arxiv", "zotero", "jabref"],
)
def test_entries_of_other_programs_become_papers(
    read_bib: ReadBib, entry: str, arxiv_id: str, title: str, abstract: str, date: str, category: str
) -> None:
    paper = only_paper(read_bib(entry))
    assert (paper.arxiv_id, paper.title, paper.abstract) == (arxiv_id, title, abstract)
    assert (paper.date, paper.primary_category) == (date, category)


@pytest.mark.parametrize(
    ("fields", "arxiv_id"),
    [
        ("eprint = {arXiv:2001.01234}", "2001.01234"),
        ("eprint = {astro-ph/0601001}, archivePrefix = {arXiv}", "astro-ph/0601001"),
        ("eprint = {0601001}, archivePrefix = {arXiv}, primaryClass = {astro-ph}", "astro-ph/0601001"),
        ("eprint = {2001.01234}, eprinttype = {arxiv}", "2001.01234"),
        ("eprint = {https://academic.oup.com/x.pdf}, doi = {10.1/a}", "10.1/a"),
        ("eprint = {2001.01234}, archivePrefix = {HAL}, doi = {10.1/a}", "10.1/a"),
        ("url = {https://arxiv.org/pdf/2001.01234v3.pdf}", "2001.01234v3"),
        ("journal = {arXiv preprint arXiv:2001.01234}", "2001.01234"),
        ("journal = {arXiv e-prints}, eid = {arXiv:2001.01234}", "2001.01234"),
        ("adsurl = {https://ui.adsabs.harvard.edu/abs/2020arXiv200101234D}", "2001.01234"),
        ("adsurl = {https://ui.adsabs.harvard.edu/abs/2008arXiv0801.0123D}", "0801.0123"),
        (r"doi = {10.1/a\_b}", "10.1/a_b"),
        ("url = {https://arxiv.org/abs/9913.01234}", "key"),
        ("note = {no identifier}", "key"),
    ],
)
def test_the_identifier_is_that_of_arxiv_wherever_it_stands_or_the_doi_or_the_key(
    read_bib: ReadBib, fields: str, arxiv_id: str
) -> None:
    assert only_paper(read_bib(f"@misc{{key, {fields}, abstract = {{a}}}}")).arxiv_id == arxiv_id


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ("year = 2016, month = feb", "2016-02"),
        ("year = {2016}, month = {2}", "2016-02"),
        ("year = {2016}, month = {02}", "2016-02"),
        ("year = 2016, month = {September}", "2016-09"),
        ('year = 2016, month = "10~" # feb', "2016-02"),
        ("year = 2016, month = {mar-apr}", "2016-03"),
        ("year = 2016, month = {13}", ""),
        ("year = 2016", ""),
        ("year = {in press}, month = feb", ""),
        ("date = {2016-02-12}, year = 2017, month = mar", "2016-02-12"),
        ("date = {2016-02/2016-05}", "2016-02"),
        ("date = {2016}, year = 2016, month = feb", "2016-02"),
        ("year = 2016, eprint = {1502.03837}", "2015-02"),
    ],
)
def test_the_date_is_as_exact_as_the_entry_tells(read_bib: ReadBib, fields: str, date: str) -> None:
    assert only_paper(read_bib(f"@misc{{key, {fields}, abstract = {{a}}}}")).date == date


@pytest.mark.parametrize(
    ("entry", "abstract"),
    [
        ("@misc(key, abstract = {in (round) brackets})", "in (round) brackets"),
        ('@misc(key, abstract = "a ) in quotes")', "a ) in quotes"),
        ('@misc{key, abstract = "a {"quoted"} word, and } more"}', 'a "quoted" word, and } more'),
        (r"@misc{key, abstract = {a brace: \{, and 5 \} more}}", r"a brace: \{, and 5 \} more"),
        ("@MISC { key ,\n ABSTRACT={twice}, abstract={second},, }", "twice"),
        ("@misc{key, abstract = {one} # { and } # two # { and } # 3}\n", "one and two and 3"),
        ("@string{two = {Two}}@string(more = two # {, more})@misc{key, abstract = more}", "Two, more"),
        ("@string{Two = {Two}}@misc{key, abstract = TWO}", "Two"),
        ("@\nmisc\n{key, abstract = {over lines}}", "over lines"),
        ("me@example.org writes @misc{key, abstract = {after @ signs, a@b{c}}}", "after @ signs, a@bc"),
        ('@comment{ a " quote and {braces} }\n@misc{key, abstract = {after}}', "after"),
        ('@preamble{ "\\newcommand{\\x}{y}" }\n@misc{key, abstract = {after}}', "after"),
        ("@comment{ not closed\n@misc{key, abstract = {after}}", "after"),
        ("\ufeff@misc{key, abstract = {after a mark}}", "after a mark"),
        ("@misc{key,\r\n  abstract = {Windows\r\nlines}\r\n}\r\n", "Windows\r\nlines"),
    ],
)
def test_what_bibtex_allows_is_read(read_bib: ReadBib, entry: str, abstract: str) -> None:
    paper = only_paper(read_bib(entry))
    assert (paper.arxiv_id, paper.abstract) == ("key", abstract)


BROKEN = [
    ("@misc{a, title = {not {closed}, year = 2001", "broken_bibtex", "not closed before the next one"),
    ('@misc{a, title = "not closed}', "broken_bibtex", "not closed before the next one"),
    ("@misc{a, title = {x} year = 2001}", "broken_bibtex", "no comma after the field title"),
    ("@misc{a, title}", "broken_bibtex", "no 'name = value' at 'title'"),
    ("@misc{a, title = }", "broken_bibtex", "no value at ''"),
    ("@misc{title = {x}, year = 2001}", "broken_bibtex", "no key before the first field"),
    ("@string{a = }", "broken_bibtex", "no value at ''"),
    (b"@misc{a,\n title = {caf\xe9}}", "not_utf8", "byte 0xe9 in line 5"),
]


@pytest.mark.parametrize(("entry", "reason", "detail"), BROKEN)
def test_a_broken_entry_costs_itself_and_is_kept_whole(
    read_bib: ReadBib, entry: str | bytes, reason: str, detail: str
) -> None:
    text = entry if isinstance(entry, bytes) else entry.encode()
    content = b"@misc{first, abstract = {a}}\n% a line\n\n" + text + b"\n@misc{last, abstract = {b}}"
    first, broken, last = read_bib(content, "skip")
    assert isinstance(first, Paper)
    assert isinstance(last, Paper)
    assert isinstance(broken, Unreadable)
    assert (broken.origin, broken.reason, broken.detail) == ("papers.bib:4", reason, detail)
    assert broken.content == text.decode("utf-8", "backslashreplace")
    with pytest.raises(SourceError, match=rf"papers\.bib, line 4: {reason.replace('_', ' ')} .*--on-error skip"):
        read_bib(content)


def test_an_entry_that_ends_with_the_file_is_broken(read_bib: ReadBib) -> None:
    [broken] = read_bib("@misc{a, title = {x}", "skip")
    assert isinstance(broken, Unreadable)
    assert broken.detail == "not closed before the end of the file"


def test_an_entry_that_is_too_long_is_cut_off_and_told(read_bib: ReadBib, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bibtex_blocks, "MAX_BLOCK_BYTES", 5000)
    long = "@misc{long, abstract = {\n" + "many words\n" * 1000 + "}}\n"
    broken, paper = read_bib(long + "@misc{short, abstract = {few words}}", "skip")
    assert isinstance(broken, Unreadable)
    assert isinstance(paper, Paper)
    assert (broken.reason, broken.detail) == ("too_long", "more than 5,000 bytes")
    assert long.startswith(broken.content)


def test_macros_that_would_fill_the_memory_are_refused(read_bib: ReadBib) -> None:
    bomb = "@string{a0 = {ten letters}}\n" + "".join(
        f"@string{{a{n + 1} = a{n} # a{n} # a{n} # a{n}}}\n" for n in range(40)
    )
    *broken, paper = read_bib(bomb + "@misc{key, abstract = a2}", "skip")
    details = {item.detail.partition(" 1,")[0] for item in broken if isinstance(item, Unreadable)}
    assert "the macros hold more than" in details
    assert isinstance(paper, Paper)
    assert paper.abstract == "ten letters" * 16


@pytest.mark.parametrize(
    "fields",
    ["abstract = " + " # ".join(["m"] * 200), ", ".join(f"field{number} = m # m" for number in range(100))],
    ids=["in one field", "in many fields"],
)
def test_macros_that_would_fill_the_memory_where_they_are_used_are_refused(read_bib: ReadBib, fields: str) -> None:
    macro = "@string{m = {" + "x" * 10_000 + "}}\n"
    broken, paper = read_bib(f"{macro}@misc{{key, {fields}}}\n@misc{{k, abstract = m}}", "skip")
    assert isinstance(broken, Unreadable)
    assert isinstance(paper, Paper)
    assert broken.detail == "macros make more than 1,048,576 characters"


@pytest.mark.parametrize("num_bytes", [1, 2, 3, 7, 50])
def test_lines_that_come_in_pieces_are_put_together(
    read_bib: ReadBib, monkeypatch: pytest.MonkeyPatch, num_bytes: int
) -> None:
    entries = ADS + ARXIV + ZOTERO + r'@misc(k, abstract = {x \\{y} \} z \{}, title = "a {"} )") @comment{"} @misc{l}'
    whole = read_bib(entries)
    assert len(whole) == 5
    monkeypatch.setattr(bibtex_blocks, "_PIECE_BYTES", num_bytes)
    assert read_bib(entries) == whole


def test_gzipped_bibtex_is_read(tmp_path: Path) -> None:
    (tmp_path / "papers.bib.gz").write_bytes(gzip.compress((ADS + ARXIV).encode()))
    assert len(list(FileSource([tmp_path]).papers())) == 2


def test_macros_are_known_after_skipped_entries(tmp_path: Path) -> None:
    path = tmp_path / "papers.bib"
    path.write_text("@misc{a, abstract={x}}\n@string{m = {macro}}\n@misc{b, abstract=m}\n@misc{c}\n@misc{d, x}")
    source = FileSource([path], "skip")
    papers = list(source.papers())
    assert [type(item).__name__ for item in papers] == ["Paper", "Paper", "Paper", "Unreadable"]
    assert [list(source.papers(skip)) for skip in range(6)] == [papers[skip:] for skip in range(6)]


def test_another_field_may_hold_the_text(read_bib: ReadBib) -> None:
    paper = only_paper(read_bib(r"@misc{key, abstract = {no}, Annote = {The {t\'ext}}}", text_field="annote"))
    assert paper.abstract == "The téxt"


def test_a_file_without_entries_holds_no_records(read_bib: ReadBib) -> None:
    with pytest.raises(SourceError, match=r"papers\.bib holds no records"):
        read_bib("@comment{nothing}\n@string{a = {b}}\n% @misc is named only\n")


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"{\"u}\"{u}\"u{\'\i}\'{\i}", "üüüíí"),
        (r"\v{S}koda, {\v S}koda, \c{c}a, {\c{c}}a, \u{g}", "Škoda, Škoda, ça, ça, ğ"),
        (r"{\O}rsted, \ss, \L{}ukasz, {\aa}, \AA ngstr{\"o}m", "Ørsted, ß, Łukasz, å, Ångström"),
        (r"1990{\textendash}2000 \textemdash{} \textless 5 {\textgreater}6", "1990–2000 — < 5 >6"),
        (r"R\&D, 5\%, a\_b, \#1, 5\ km", "R&D, 5%, a_b, #1, 5 km"),
        (r"{The {Hubble} {C}onstant} of {$H_{0}$}", "The Hubble Constant of $H_{0}$"),
        (r"$\"{a}_{\rm x}$ and \(\'e {y}\) and \[{z}\]", r"$\"{a}_{\rm x}$ and \(\'e {y}\) and \[{z}\]"),
        (r"{\ensuremath{\alpha}} \ensuremath{x<5} $\ensuremath{y}$", r"$\alpha$ $x<5$ $\ensuremath{y}$"),
        (
            r"\emph{in situ} {\it et al.} H_{2}O \textbf{x} \unknown{y}",
            r"\emph{in situ} {\it et al.} H_{2}O \textbf{x} \unknown{y}",
        ),
        (r"costs \$5 or \$6 {\textdollar}7", r"costs \$5 or \$6 \$7"),
        (r"maths that $x {does not} end", r"maths that $x {does not} end"),
        ("un}balanced {braces", "un}balanced braces"),
        ("", ""),
    ],
)
def test_accents_become_characters_and_maths_stays(latex: str, text: str) -> None:
    assert plain_text(latex) == text
