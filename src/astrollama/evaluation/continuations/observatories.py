"""Names of surveys, missions, telescopes, instruments, simulations and well-known objects, as astronomers write them.

The list is ours and cannot be whole: a name that it lacks is neither found nor counted as invented. What any text may
speak of (the Sun, the planets, the Milky Way, the Local Group) is left out on purpose.
"""

from __future__ import annotations

import re

# Things are separated by "|"; what follows a "=" is another name of the same.
_SURVEYS_AND_TELESCOPES = """
2dFGRS | 2MASS = Two Micron All Sky Survey | 4MOST | 6dFGS | ACT = Atacama Cosmology Telescope | AGILE | AKARI
ALFALFA | ALMA = Atacama Large Millimeter/submillimeter Array = Atacama Large Millimeter Array | AMS-02 = AMS
ANTARES | APEX | APOGEE = APOGEE-2 | Arecibo | ARIEL = Ariel | ASAS-SN | ASCA | ASKAP | AstroSat | ATCA
Athena = ATHENA | ATLAS | ATLASGAL | Auger = Pierre Auger Observatory | BATSE | BeppoSAX
BICEP = BICEP2 = BICEP3 = BICEP/Keck | BOSS | CALET | CANDELS | CARMENES | Cassini
CCAT = Fred Young Submillimeter Telescope = FYST | CEERS | CGRO | Chandra = CXO | Chang'E | CHEOPS
CHIME = CHIME/FRB | CMB-S4 | COBE | CoRoT | COSMOS = COSMOS-Web | CRIRES = CRIRES+ | CRTS | CSST
CTA = CTAO = Cherenkov Telescope Array | DAMPE | DART | DECaLS | DECam = Dark Energy Camera
DES = Dark Energy Survey | DESI = Dark Energy Spectroscopic Instrument | DKIST | EAGLE | eBOSS | EDGES | Effelsberg
EGRET | EHT = Event Horizon Telescope | Einstein Probe | Einstein Telescope | ELT = E-ELT | EMU | EPTA | eROSITA
ESPRESSO | Euclid | EVN | FAST | Fermi = Fermi-LAT = Fermi LAT = Fermi/LAT = Fermi GBM = Fermi-GBM = Fermi/GBM
FORS2 | FUSE | Gaia = GAIA | GALAH | GALEX | GAMA | GBT = Green Bank Telescope | Gemini | GMRT = uGMRT | GOODS
GRAVITY = GRAVITY+ | GTC | HARPS | HARPS-N | HAWC | Hayabusa2 | HERA | Herschel | HESS = H.E.S.S. | HI4PI | Hinode
HIPASS | Hipparcos = HIPPARCOS | HIRES | Hitomi | HSC = Hyper Suprime-Cam | HST = Hubble Space Telescope = Hubble
HUDF = Hubble Ultra Deep Field | IceCube | IceCube-Gen2 | Illustris | IllustrisTNG = TNG50 = TNG100 = TNG300
Insight-HXMT = HXMT | INTEGRAL | IPTA | IRAM | IRAS | IRIS | IRTF | IXPE | JADES | JCMT | JUNO | Juno
JWST = James Webb Space Telescope | KAGRA | Keck | Kepler | KiDS | KM3NeT | KMTNet | LAMOST | LBT | LHAASO
LIGO = Advanced LIGO = aLIGO | LISA | LiteBIRD | Liverpool Telescope | LOFAR = LoTSS | LRO
LSST = Rubin = Legacy Survey of Space and Time | LUVOIR | LWA | MACHO | Magellan | MAGIC | MaNGA | MAVEN | MAXI
MeerKAT | MIGHTEE | Millennium Simulation | MIRI | MOA | MOSFIRE | MUSE | MWA | NANOGrav | NEOWISE | New Horizons
NICER | NIRCam | NIRISS | NIRSpec | NOEMA | NuSTAR | NVSS | OGLE | OSIRIS-REx | OVRO | Palomar | PAMELA
Pan-STARRS = Pan-STARRS1 = PS1 = PanSTARRS | Pantheon = Pantheon+ = Pantheon-plus = PantheonPlus
Parker Solar Probe = PSP | Parkes = Murriyang | PHANGS | Planck = PLANCK | PLATO | POLARBEAR | PPTA | PTF = iPTF
RACS | RAVE | RHESSI | Roman Space Telescope = WFIRST | ROSAT | Rosetta | RXTE | SAMI
SDO = Solar Dynamics Observatory | SDSS = Sloan Digital Sky Survey | SH0ES | Simons Observatory
SKA = Square Kilometre Array = Square Kilometer Array | SNLS | SOFIA | SOHO | Solar Orbiter | SPHERE | SPHEREx
SPICA | Spitzer | SPT = South Pole Telescope | STEREO | STIS | Stripe 82 | Subaru | Super-Kamiokande | Suzaku
Swift = Swift-XRT = Swift/XRT = Swift-BAT = Swift/BAT | Telescope Array | TESS | THEMIS | THINGS | TianQin | TMT
TRACE | UKIDSS | UKIRT | UVES | UVIT | VERITAS | VIPERS | Virgo = Advanced Virgo | VISIR | VISTA
VLA = JVLA = Very Large Array | VLASS | VLBA | VLT = Very Large Telescope | VLTI | Voyager | VVV = VVVX | WALLABY
WEAVE | WFC3 | WiggleZ | WISE | WMAP | X-shooter = X-Shooter = XSHOOTER | XMM-Newton = XMM | XRISM
ZTF = Zwicky Transient Facility
"""
_OBJECTS = """
2I/Borisov | 30 Doradus = 30 Dor = Tarantula Nebula = Tarantula nebula | 3I/ATLAS | 47 Tuc = 47 Tucanae
alpha Centauri = Alpha Centauri = α Centauri | Andromeda | Arcturus | Arrokoth | AU Mic = AU Microscopii | Bennu
beta Pictoris = Beta Pictoris = β Pictoris = beta Pic = β Pic | Betelgeuse | Bullet Cluster = Bullet cluster
Callisto | Cas A = Cassiopeia A | Cen A = Centaurus A | Cen X-3 = Centaurus X-3 | Ceres
Coma cluster = Coma Cluster | Crab = Crab Nebula = Crab nebula = Crab pulsar = Crab Pulsar | Cyg A = Cygnus A
Cyg X-1 = Cygnus X-1 | Cyg X-2 = Cygnus X-2 | Cyg X-3 = Cygnus X-3 | Deimos | Didymos | Dimorphos | Enceladus
epsilon Eridani = Epsilon Eridani = ε Eridani = eps Eri | Eris
eta Carinae = Eta Carinae = η Carinae = eta Car = η Car | Europa | Fomalhaut | Fornax cluster = Fornax Cluster
FU Ori = FU Orionis | Ganymede | Geminga | Her X-1 = Hercules X-1 | HL Tau = HL Tauri | Hyades | Itokawa
LMC = Large Magellanic Cloud | LMC X-1 | LMC X-3 | LMC X-4
omega Centauri = Omega Centauri = ω Centauri = omega Cen = ω Cen | Orion Nebula = Orion nebula
'Oumuamua = 1I/'Oumuamua = 1I/Oumuamua = Oumuamua | Perseus cluster = Perseus Cluster | Phobos | Pleiades | Pluto
Praesepe | Procyon | Proxima Centauri = Proxima Cen | RS Oph = RS Ophiuchi | Ryugu | Sco X-1 = Scorpius X-1
Sgr A* = Sagittarius A* = SgrA* = Sgr A = Sgr A star | Sgr B1 = Sagittarius B1 | Sgr B2 = Sagittarius B2
Sgr C = Sagittarius C | Sirius | SMC = Small Magellanic Cloud | SMC X-1 | T CrB = T Coronae Borealis
tau Ceti = Tau Ceti = τ Ceti | Titan | TW Hya = TW Hydrae | Vela pulsar = Vela Pulsar | Vela X-1 | Vesta
Virgo cluster = Virgo Cluster
"""

# A name means something else before these words: Planck's constant is no mission.
_NO_TELESCOPE = {
    "Hubble": "constant|parameter|flow|rate|expansion|time|diagram|tension|law|radius|volume|friction|horizon|type|sequence"
    "|residuals?|scale|sphere|patch|length|distance|drag|mass",
    "Planck": "mass|scale|constant|length|time|units?|density|energy|era|epoch|law|function|stars?|spectrum|suppressed|area"
    "|distribution|curve",
    "Fermi": "acceleration|gas|energy|levels?|surface|liquid|momentum|[Bb]ubbles?|function|paradox|coupling|constant|sea"
    "|velocity|normal|interaction|temperature|pressure",
    "Kepler": "problem|motion|laws?|orbits?|potential|rotation|frequency|equation|supernova|SNR|elements?",
    "Spitzer": "conductivity|resistivity|value|thermal|viscosity|conduction",
}


def pattern() -> str:
    """A regular expression of all names, longer ones first."""
    names = (
        _escaped(name) + (f"(?!['’]s\\b|[ -](?:{_NO_TELESCOPE[name]})\\b)" if name in _NO_TELESCOPE else "")
        for name in sorted(CANONICAL, key=len, reverse=True)
    )
    return rf"(?<![\w*])(?:{'|'.join(names)})(?![\w*])"


def _escaped(name: str) -> str:
    return re.escape(name).replace(r"\ ", r"\s+")


def _canonical() -> dict[str, str]:
    names: dict[str, str] = {}
    for thing in f"{_SURVEYS_AND_TELESCOPES}|{_OBJECTS}".replace("\n", "|").split("|"):
        first, *others = (name.strip() for name in thing.split("="))
        names |= dict.fromkeys((first, *others), first) if first else {}
    return names


CANONICAL = _canonical()  # every name, and the first of the same thing
