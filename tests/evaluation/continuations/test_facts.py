from __future__ import annotations

import pytest

from astrollama.evaluation.continuations.facts import Facts, Number, find_facts


def numbers(text: str) -> set[str]:
    return {f"{value} {unit}".strip() for value, unit in find_facts(text).numbers}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a mass of 3.0 and of 3", {"3"}),
        ("$10^{45}$ erg s$^{-1}$, or 10^45 erg, or 1e45 erg", {"1E+45 erg"}),
        (r"$1.2\times10^5$ K is 120,000 K and 1.2 x 10^{5} K and 120{,}000 K", {"120000 K"}),
        (r"\sim10^6 M_\odot", {"1000000 Msun"}),
        (r"$10^{13-14}\,M_{\odot}$ and 2 solar masses", {"1E+13 Msun", "1E+14 Msun", "2 Msun"}),
        (r"$10^{4.5}$", {"1e4.5"}),
        (r"20 000 years, $20\,000$ yr; in 2015 100 stars and 1 2 3", {"20000 yr", "2015", "100", "1", "2", "3"}),
        ("3 million years, 2 billion", {"3000000 yr", "2E+9"}),
        ("10 to 20 kpc, 0.5--10 keV, 5-7 d", {"10 kpc", "20 kpc", "0.5 keV", "10 keV", "5 d", "7 d"}),
        (r"$67.4 \pm 0.5$ km s$^{-1}$ Mpc$^{-1}$", {"67.4 km", "0.5 km"}),
        (r"68\%, 68 per cent, 68 percent, 68%", {"68 %"}),
        ("[Fe/H] = -2.5, between 1 and 2, from 5 - 7", {"-2.5", "1", "2", "5", "7"}),
        (r"30$^\circ$, 30 degrees, 0.5 arcsec, 0\farcs5", {"30 deg", "0.5 arcsec"}),
        (r"850 $\mu$m, 850 μm, 850 microns; 12 \AA", {"850 μm", "12 Å"}),
        ("a 6.5-m telescope, a 30-day orbit, 10kpc", {"6.5 m", "30 d", "10 kpc"}),
        (r"at $5\sigma$ and 3 sigma", {"5 σ", "3 σ"}),
        (r"$H_0 = 70$, $\sigma_8 = 0.81^{+0.02}_{-0.03}$, $M_{200}$, H_0 of 70", {"70", "0.81"}),
        (r"$^{13}$CO(2-1), J=3-2, CO$_2$, log$_{10}$, 12+log(O/H)", set()),
        ("a 3D model, 2-dimensional, the 1990s, the 5th, F814W, DR3, Band 7, X-1", set()),
        ("(1) one, 2) two, as in [3, 4]. 1. The first", set()),
        ("observed in 2015", {"2015"}),
        ("zero is 0 or 0.00", {"0"}),
        ("", set()),
        ("no number here", set()),
    ],
)
def test_numbers(text: str, expected: set[str]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NGC 1275, NGC1275, NGC~1275 and NGC\\,1275", {"NGC 1275"}),
        ("M31, M 31, Messier 31; M = 3 and M 1.5", {"Messier 31"}),
        ("HD 209458 b, HD209458", {"HD 209458"}),
        ("PSR B1919+21, PSR J0437$-$4715", {"PSRB1919+21", "PSRJ0437-4715"}),
        ("SN 1987A, SN2011fe, GW170817, GRB 990123, AT2018cow", {"SN 1987A", "SN 2011fe", "GW 170817", "GRB 990123", "AT 2018cow"}),
        ("3C 273, 3C273, IC 10, UGC 2885", {"3C 273", "IC 10", "UGC 2885"}),
        ("Abell 2029 = A2029, Mrk 421 = Markarian 421", {"Abell 2029", "Mrk 421"}),
        ("Kepler-11b, TOI-700 d, TRAPPIST-1e = Trappist-1, WASP-12", {"Kepler 11", "TOI 700", "TRAPPIST 1", "WASP 12"}),
        ("2MASS J04381486+2611399, SDSS J1030+0524", {"2MASSJ04381486+2611399", "SDSSJ1030+0524"}),
        ("PKS 2155-304, 4U 1820-30", {"PKS2155-304", "4U1820-30"}),
        ("Sgr A*, Sagittarius A*, Sgr A$^*$", {"Sgr A*"}),
        ("the Hubble Space Telescope, HST and Hubble images", {"HST"}),
        ("the Hubble constant, the Planck mass, Fermi bubbles, Kepler's laws, swift", set()),
        (r"{\it Gaia} DR3, \textit{Kepler} and XMM-Newton", {"Gaia", "Kepler", "XMM-Newton"}),
        ("Fermi-LAT and Fermi/GBM; Rubin's LSST; the Sloan Digital Sky Survey", {"Fermi", "LSST", "SDSS"}),
        ("LIGO-Virgo found none in the Virgo cluster", {"LIGO", "Virgo", "Virgo cluster"}),
        ("Cygnus X-1 is Cyg X-1; GX 13+1", {"Cyg X-1", "GX13+1"}),
        ("67P/Churyumov-Gerasimenko, C/2019 Y4", {"67P/Churyumov-Gerasimenko", "C/2019Y4"}),
        ("EAGLES, Gaiagraphy and DESIGN are others", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_objects(text: str, expected: set[str]) -> None:
    found = find_facts(text)
    assert found.objects == expected
    digits = {number.value for number in found.numbers}
    assert not digits & {"1275", "31", "209458", "273", "700", "421", "2029", "13"}, (
        "the digits of a name are no number"
    )


def test_what_neither_prompt_nor_paper_contain_is_invented() -> None:
    paper = find_facts("NGC 4151 lies at 15.8 Mpc; we use 12 spectra from JWST.")
    text = find_facts("With HST we see NGC 4151 at 15.8 Mpc, NGC 1068 at 15.8 kpc, and 12 objects within 15.8.")
    assert text.beyond(paper) == Facts(frozenset({Number("15.8", "kpc")}), frozenset({"HST", "NGC 1068"}))
    assert text.beyond(text) == Facts(frozenset(), frozenset())
    assert len(find_facts("").beyond(paper)) == 0


def test_agreement_is_the_share_that_both_have() -> None:
    first, second = find_facts("3 kpc with HST"), find_facts("3 kpc with JWST")
    assert first.agreement(second) == pytest.approx(1 / 3)
    assert first.agreement(first) == 1
    assert find_facts("none").agreement(find_facts("nor here")) is None


def test_any_text_has_facts_or_none_but_no_error() -> None:
    for text in ("10^", "$", "{}{}^_", "10^{", "1e999999 2e-99999", "9" * 400, "10^{99999999}", "\\", "NGC", "M", "J+"):
        find_facts(text)
