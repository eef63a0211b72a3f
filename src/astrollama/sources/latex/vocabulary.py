r"""What LaTeX, the journals' classes and common packages mean by a command, as far as prose needs it.

Specifications of arguments: `s` a star, `o` an optional argument, `m` one in braces, `a` one in braces or a single token,
`d` a dimension, `c` a command.
"""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


# Commands that leave nothing, with their arguments.
SKIPPED: dict[str, str] = {
    name: specification
    for specification, names in {
        "": r"""
            titlepage relax protect expandafter noexpand noindent indent centering raggedright raggedleft newpage
            clearpage cleardoublepage nopagebreak hfill vfill hfil vfil hss null sloppy fussy sloppypar onecolumn
            tableofcontents listoffigures listoftables samepage global long outer protected unskip ignorespaces
            ignorespacesafterend leavevmode nobreak allowbreak allowdisplaybreaks displaybreak goodbreak filbreak
            eject supereject begingroup endgroup bgroup egroup frontmatter mainmatter backmatter normalfont normalsize
            small footnotesize scriptsize tiny large Large LARGE huge Huge singlespace doublespace onehalfspacing
            doublespacing singlespacing raggedbottom flushbottom balance bf it rm sl sf tt em cal mit bfseries itshape
            rmfamily slshape sffamily ttfamily mdseries upshape boldmath unboldmath selectfont frenchspacing
            nonfrenchspacing obeylines obeyspaces par hrule vrule hline newauthor And AND bsp lastpage firstpage
            newblock nonumber notag displaystyle textstyle limits nolimits scriptstyle strut mathstrut endkeywords
            endtitlepage endlist enddata startdata twocolumngrid onecolumngrid flushleft center flushright
            tightenlines tighten printfigures printtables nofiles narrowtext widetext suppressfloats ninerm eightrm
            tenrm twelverm sevenrm normalbaselines endcenter endgraf offinterlineskip nointerlineskip
            restartappendixnumbering linenumbers nolinenumbers modulolinenumbers lefthyphenmin nonstopmode batchmode
            scrollmode errorstopmode FloatBarrier printbibliography tablebreak tableline endminipage qed qedsymbol
            qedhere justify justifying rotate colnumbers listoftodos phantomsection startlongtable figsetstart
            figsetend figsetgrpstart figsetgrpend noaffiliation allauthors listofchanges
            nopagenumbers folio narrower immediate year month day jobname hidewidth
            dotfill hrulefill numparts endnumparts bodymatter psfull psdraft
            ioptwocol endrefs firstsection answerYes answerNo answerNA saythanks
            icmlEqualContribution listrefs listfigs bigbreak medbreak smallbreak endpage refout figout hfilneg
        """,
        "oom": r"subfloat subfigure",
        "ommm": r"articlefigure",
        "ommmm": r"articlefiguretwo",
        "saommmmo": r"titleformat",
        "sammmo": r"titlespacing",
        "mmmm": r"DeclareGraphicsRule apptocmd pretocmd DeclareSymbolFont DeclareMathSymbol usefont",
        "mmmmmmmmm": r"paperauthor",
        "o": r"pagebreak nolinebreak footnotemark flushend",
        "m": r"""
            thanks altaffilmark affils email emails ead institute institution dedicated offprints
            correspondingauthor received revised accepted published date submitjournal submitted journal journalinfo
            journalname shorttitle shortauthors lefthead righthead runninghead titlerunning authorrunning slugcomment
            msid pubyear pagerange doi orcid orcidlink label pagestyle thispagestyle pagenumbering bibliographystyle
            bibliography citestyle setcitestyle graphicspath hypersetup urlstyle hyphenation vspace hspace linespread
            pagecolor phantom vphantom hphantom nocite addbibresource stepcounter refstepcounter arabic roman Roman
            alph Alph fnsymbol value newlength newsavebox usebox theoremstyle captionsetup DeclareGraphicsExtensions
            lstset tikzset usetikzlibrary pgfplotsset setminted geometry authoremail authoraddr markcite placefigure
            placetable placeplate figurenum tablenum index epsscale epsfbox epsffile psfig plotone special tablehead
            tablecaption tablecomments tablerefs tablenotemark tablewidth tabletypesize tablecolumns journalid
            articleid ccc cpright communicated facility facilities software corref fnref tnoteref rightmark markright
            subtitle notetoeditor gridline dochead conferenceinfo authornote correspondance correspondence eqnum
            marginpar orgdiv orgname orgaddress affiliations enlargethispage sisetup selectlanguage setstretch fnmark
            cormark thesaurus KeyWords Received Accepted emailAdd arxivnumber figsetnum figsettitle figsetgrpnum
            figsetgrptitle figsetplot figsetgrpnote nocollaboration reportnum explain subclass watermark
            setwatermarkfontsize authorinfo submitto runningtitle runningauthor homepage equalcont script ssindex ooindex
            aindex subjectindex IEEEmembership icmltitlerunning icmlkeywords printAffiliationsAndNotice Date foot
            marginicon subcaption titlelabel curraddr urladdr dedicatory aindx ding emoji epsfig natexlab fancyhf
            message typeout errmessage wlog cline noalign
        """,
        "sm": r"hspace vspace tag",
        "om": r"""
            authors altaffiliation address footnotetext todo includegraphics caption
            includepdf preprint titlenote reportnumber fntext cortext tnotetext documentclass documentstyle LoadClass
            subjclass chead lhead rhead cfoot lfoot rfoot fancyhead fancyfoot
            thanksref marginnote sidenote bibitem lstinputlisting figcaption deleted setlist
        """,
        "som": r"author affil affiliation caption includesvg",
        "am": r"setlength addtolength settowidth settoheight setcounter addtocounter",
        "mm": r"""
            plottwo altaffiltext epigraph tbl icmlsetsymbol icmlauthor icmlaffiliation icmlcorrespondingauthor subcaptionbox definecolor
            colorlet DeclareMathSizes markboth bibinfo pdfbookmark tablenotetext defcitealias sbox numberwithin
            setkeys counterwithin newfontfamily DeclareUnicodeCharacter captionof AtBeginEnvironment newunicodechar
            DeclareSIUnit SetRunningHead
        """,
        "mmm": r"addcontentsline crefname Crefname",
        "omm": r"inputminted rule collaboration longtab onltab onlfig onllongtab",
        "mmmmm": r"DeclareMathAlphabet patchcmd",
        "mmmmmm": r"DeclareFontShape",
        "mmmmmmm": r"plotfiddle",
        "ommmmmm": r"bibpunct",
        "d": r"""
            vskip hskip kern mkern mskip lower raise moveleft moveright baselineskip parskip parindent hsize vsize
            hoffset voffset topmargin oddsidemargin evensidemargin textwidth textheight columnsep topskip headheight
            headsep footskip leftskip rightskip tabcolsep arraycolsep lineskip lineskiplimit maxdepth abovedisplayskip
            belowdisplayskip hangindent hangafter tolerance hbadness vbadness hfuzz vfuzz widowpenalty clubpenalty
            penalty magnification pageno pdfoutput footnotesep itemsep parsep topsep leftmargin epsfxsize epsfysize
            displaywidowpenalty interlinepenalty emergencystretch spaceskip xspaceskip fboxsep abovecaptionskip
            belowcaptionskip intextsep textfloatsep floatsep dbltextfloatsep columnwidth linewidth pretolerance
            overfullrule pdfminorversion pdfpagewidth pdfpageheight jot looseness mathsurround tabskip thinmuskip
            medmuskip thickmuskip parfillskip labelsep labelwidth itemindent doublerulesep arrayrulewidth unitlength
            interfootnotelinepenalty brokenpenalty exhyphenpenalty hyphenpenalty showboxdepth tracingpages
            binoppenalty relpenalty predisplaypenalty postdisplaypenalty
        """,
        "c": r"""
            newcount newdimen newskip newtoks newbox newmuskip newread newwrite the number string meaning showthe box copy
        """,
        "cm": r"settodepth",
        "dd": r"count dimen skip",
    }.items()
    for name in names.split()
} | {"newcounter": "mo", "includegraphics": "soom", "newcolumntype": "mom", "newtheoremstyle": "mmmmmmmmm"}

# Commands whose first arguments go  whose last one, if any, stays in the text.
UNWRAPPED: dict[str, str] = {
    name: specification
    for specification, names in {
        "": r"""
            emph text textit textbf textrm textsf texttt textsl textup textmd textnormal textsubscript textsuperscript
            mbox fbox underline uline ul hl sout st uppercase lowercase MakeUppercase MakeLowercase mathrm llap rlap
            smash boldsymbol bm added highlight strong line mathbf mathit mathsf mathtt object objectname astrobj
            IEEEPARstart citetext underbar uwave textlatin nolinkurl textsmaller textlarger vcenter cancel timeform
            shortstack thead makecell nouppercase MakeTextUppercase mathop
            mathnormal
        """,
        "o": r"lettrine added dataset",
        "oo": r"framebox makebox",
        "m": r"adjustbox textcolor colorbox scalebox hypertarget hyperlink foreignlanguage fontfamily",
        "om": r"parbox rotatebox replaced mintinline",
        "oom": r"parbox",
        "moo": r"raisebox",
        "mm": r"resizebox multicolumn fcolorbox fontsize",
        "mo": r"multirow",
    }.items()
    for name in names.split()
} | {"resizebox": "smm", "textcolor": "om", "hyperref": "o", "color": "om"}

# Environments that are left out whole.
DROPPED_ENVIRONMENTS = frozenset(
    _words("""
    figure subfigure wrapfigure sidewaysfigure SCfigure floatingfigure teaserfigure table wraptable sidewaystable
    threeparttable threeparttablex ThreePartTable deluxetable splitdeluxetable planotable longtable longrotatetable
    rotatetable supertabular xtabular mpsupertabular longtab tabular tabularx tabulary tabbing landscape
    thebibliography references bibliography comment verbatim Verbatim BVerbatim alltt lstlisting minted tikzpicture
    pspicture picture pgfpicture algorithm algorithm2e algorithmic algorithmicx filecontents keywords keyword CCSXML
    tabnote tablenotes tablehere figurehere floatrow ccsdesc authoraffiliations affiliations figurewindow dedication
    interactive discussion tblr longtblr talltblr NiceTabular python listing code pythoncode highlights graphicalabstract biblist lrbox
    """)
)

# Environments whose text stays, with the arguments that come first.
ENVIRONMENT_ARGUMENTS = {
    "multicols": "mo",
    "minipage": "ooom",
    "spacing": "m",
    "adjustwidth": "mm",
    "changemargin": "mm",
    "list": "mm",
    "CJK": "mm",
    "otherlanguage": "m",
    "itemize": "o",
    "enumerate": "o",
    "description": "o",
    "compactitem": "o",
    "compactenum": "o",
    "inparaenum": "o",
    "inparaitem": "o",
    "proof": "o",
    "tcolorbox": "o",
    "mdframed": "o",
}

DISPLAY_ENVIRONMENTS = frozenset(
    _words("""
    equation displaymath math align alignat flalign xalignat eqnarray gather multline dmath subeqnarray equationarray
    """)
)
ALIGNED = {"align": "aligned", "alignat": "aligned", "flalign": "aligned", "eqnarray": "aligned", "gather": "gathered"}

PROTECTED_ENVIRONMENTS = DROPPED_ENVIRONMENTS | DISPLAY_ENVIRONMENTS | {"abstract", "document", "appendix"}

# In maths these hold text, in which a dollar sign begins maths again.
TEXT_IN_MATHS = frozenset(
    rf"\{name}"
    for name in _words(
        "mbox text hbox vbox vcenter halign shortstack textrm textit textbf textsf textsc texttt fbox intertext"
    )
)

# Names that keep their meaning whatever the paper makes of them, for the structure of the text rests on them.
PROTECTED = frozenset(
    rf"\{name}"
    for name in _words("""
        begin end part chapter section subsection subsubsection paragraph subparagraph title author authors abstract
        input include cite citep citet citealt citealp citeauthor citeyear ref eqref pageref label footnote thanks
        caption def newcommand renewcommand let if fi else par item documentclass documentstyle usepackage
        bibliography thebibliography endthebibliography includegraphics maketitle acknowledgments acknowledgements
        appendix verb ion BibTeX LaTeX TeX
    """)
)

SYMBOLS = {
    rf"\{name}": text
    for name, text in {
        "%": "%", "&": "&", "$": "$", "#": "#", "_": "_", "{": "{", "}": "}", " ": " ", ",": " ", ";": " ", ":": "",
        ">": " ", "!": "", "/": "", "-": "", "@": "", "(": "(", ")": ")", "+": "", "<": "", "\\": " ", "*": "",
        "quad": " ", "qquad": " ", "enspace": " ", "thinspace": " ", "negthinspace": "", "space": " ", "nobreakspace": "",
        "newline": " ", "linebreak": " ", "break": " ", "cr":" ", "crcr":" ", "tabularnewline": " ", "and": ",",
        "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø", "l": "ł",
        "L": "Ł", "i": "ı", "j": "ȷ", "dh": "ð", "DH": "Ð", "dj": "đ", "DJ": "Đ", "th": "þ", "TH": "Þ", "ng": "ŋ",
        "NG": "Ŋ", "S": "§", "P": "¶", "dag": "†", "ddag": "‡", "copyright": "©", "pounds": "£", "euro": "€",
        "dots": "...", "ldots": "...", "textellipsis": "...", "slash": "/", "textbackslash": "\\", "backslash": "\\",
        "lbrack": "[", "rbrack": "]",
        "lbrace": "{", "rbrace": "}", "textasciitilde": "~", "textasciicircum": "^", "textunderscore": "_", "textbar": "|",
        "textless": "<", "textgreater": ">", "lt": "<", "gt": ">", "textdollar": "$", "textpercent": "%", "texttimes": "×",
        "textendash": "–", "textemdash": "—", "textquoteleft": "'", "textquoteright": "'", "textquotedblleft": '"',
        "textquotedblright": '"', "textquotedbl": '"', "textquotesingle": "'", "guillemotleft": "«", "guillemotright": "»",
        "og": "« ", "fg": " »", "quotedblbase": "„", "textdegree": "°", "degree": "°", "textmu": "μ",
        "textonehalf": "½", "textpm": "±", "textperiodcentered": "·", "textbullet": "•", "textregistered": "®",
        "texttrademark": "™", "textsection": "§", "textordfeminine": "ª", "textordmasculine": "º", "textordmale": "º",
        "textvisiblespace": " ", "textasciiacute": "´", "textohm": "Ω", "textsterling": "£",
        "LaTeX": "LaTeX", "TeX": "TeX", "LaTeXe": "LaTeX2e", "BibTeX": "BibTeX", "AASTeX": "AASTeX", "aastex": "AASTeX",
        "latex": "LaTeX", "tex": "TeX", "today": "", "etal": "et al.", "ie": "i.e.", "eg": "e.g.", "apriori": "a priori",
        "textalpha": "α", "textbeta": "β", "textgamma": "γ", "textlambda": "λ", "textmicro": "μ",
        # aastex, aa and mnras
        "arcdeg": "°", "degr": "°", "deg": "°", "arcmin": "′", "arcsec": "″", "micron": "μm", "um": "μm", "sun": "☉",
        "earth": "⊕", "fdg": ".°", "fd": ".d", "fh": ".h", "fm": ".m", "fs": ".s", "farcm": ".′", "farcs": ".″",
        "fp": ".p", "sq": "□", "sbond": "–", "dbond": "=", "tbond": "≡", "ubvr": "UBVR", "ub": "U - B", "bv": "B - V",
        "vr": "V - R", "ur": "U - R", "fdeg": ".°", "diameter": "⌀", "mbh": "$M_{\\rm BH}$", "nodata": "...",
        "ang": "Å", "angstrom": "Å", "Angstrom": "Å", "kms": "km s$^{-1}$", "kmsmpc": "km s$^{-1}$ Mpc$^{-1}$",
        "msun": "$M_\\odot$", "Msun": "$M_\\odot$", "lsun": "$L_\\odot$", "Lsun": "$L_\\odot$", "rsun": "$R_\\odot$",
        "Rsun": "$R_\\odot$", "zsun": "$Z_\\odot$", "Zsun": "$Z_\\odot$", "solar": "☉", "halpha": "H$\\alpha$",
        "Halpha": "H$\\alpha$", "Ha": "H$\\alpha$", "lya": "Ly$\\alpha$", "Lya": "Ly$\\alpha$",
        "hbeta": "H$\\beta$", "Hbeta": "H$\\beta$", "Hb": "H$\\beta$",
        "HI": "H I", "HII": "H II", "hi": "H I",
        "hii": "H II", "la": "$\\lesssim$", "ga": "$\\gtrsim$", "lta": "$\\lesssim$", "gta": "$\\gtrsim$",
        "cms": "cm s$^{-1}$", "ergs": "erg s$^{-1}$", "mic": "μm", "micro": "μ", "checkmark": "✓",
        "textcelsius": "°C", "texttildelow": "~", "textasciimacron": "¯",
        # journals
        "aj": "AJ", "actaa": "Acta Astron.", "araa": "ARA&A", "apj": "ApJ", "apjl": "ApJL", "apjlett": "ApJL",
        "apjs": "ApJS", "apjsupp": "ApJS", "ao": "Appl. Opt.", "applopt": "Appl. Opt.", "apss": "Ap&SS", "aap": "A&A",
        "astap": "A&A", "aapr": "A&A Rev.", "aaps": "A&AS", "azh": "Azh", "baas": "BAAS", "bac": "Bull. astr. Inst. Czechosl.",
        "caa": "Chinese Astron. Astrophys.", "cjaa": "ChJAA", "icarus": "Icarus", "jcap": "JCAP", "jrasc": "JRASC",
        "memras": "MmRAS", "mnras": "MNRAS", "na": "New Astron.", "nar": "New Astron. Rev.", "pra": "Phys. Rev. A",
        "prb": "Phys. Rev. B", "prc": "Phys. Rev. C", "prd": "Phys. Rev. D", "pre": "Phys. Rev. E",
        "prl": "Phys. Rev. Lett.", "pasa": "PASA", "pasp": "PASP", "pasj": "PASJ", "rmxaa": "RMxAA", "qjras": "QJRAS",
        "skytel": "Sky Telesc.", "solphys": "Sol. Phys.", "sovast": "Soviet Astron.", "ssr": "Space Sci. Rev.", "zap": "ZAp",
        "nat": "Nature", "iaucirc": "IAU Circ.", "aplett": "Astrophys. Lett.", "apspr": "Astrophys. Space Phys. Res.",
        "bain": "BAN", "fcp": "Fundam. Cosm. Phys.", "gca": "Geochim. Cosmochim. Acta", "grl": "Geophys. Res. Lett.",
        "jcp": "J. Chem. Phys.", "jgr": "J. Geophys. Res.", "jqsrt": "JQSRT", "memsai": "Mem. Soc. Astron. Italiana",
        "nphysa": "Nucl. Phys. A", "physrep": "Phys. Rep.", "physscr": "Phys. Scr.", "planss": "Planet. Space Sci.",
        "procspie": "Proc. SPIE", "psj": "PSJ", "aas": "AAS",
    }.items()
}  # fmt: skip

# The combining character of each accent.
ACCENTS = {
    rf"\{name}": mark
    for name, mark in {
        "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304", "u": "\u0306", ".": "\u0307",
        '"': "\u0308", "r": "\u030a", "H": "\u030b", "v": "\u030c", "d": "\u0323", "c": "\u0327", "k": "\u0328",
        "b": "\u0331", "t": "\u0361",
    }.items()
}  # fmt: skip

# Signs of maths that papers also write in text.
MATHS_SIGNS = frozenset(
    rf"\{name}"
    for name in _words("""
        alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho
        varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi
        Psi Omega sim simeq approx equiv propto pm mp times cdot div leq geq le ge ll gg neq ne infty odot oplus
        partial nabla star ast circ bullet prime dagger ddagger rightarrow leftarrow to longrightarrow Rightarrow
        leftrightarrow lesssim gtrsim lessapprox gtrapprox lapprox gapprox angle perp parallel ell hbar Re Im aleph in
        cup cap subset langle rangle cdots vdots surd triangle Box Diamond diamond bigcirc otimes ominus cong asymp
        mid vert Vert sum prod int oint uparrow downarrow mapsto forall exists
    """)
)

# Files of common packages: to read them would help no one, and where they are missing nothing is missing.
STANDARD_FILES = frozenset(
    _words("""
        epsf psfig epsfig graphicx graphics amssym mssymb amssymb psfrag rotate boxedeps natbib times revsymb
        aasmacros aas_macros aaspp aasms4 aaspp4 aj_pt4 aasms aas2pp4 epsfbox mn mn2e emulateapj emulateapj5 apjfonts
        lscape deluxetable pstricks harvmac phyzzx xy tables axodraw pictex supp-pdf glyphtounicode
    """)
)
