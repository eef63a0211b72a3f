"""More papers made for the tests: habits of journals, proceedings and decades that `papers` has not; their words are ours."""

from __future__ import annotations

_LONG = (
    "Here we report that slow novae fade for years, and whoever counts them needs patience, dark skies and a list of "
    "what was seen before. "
)
AASTEX7 = r"""
\documentclass[trackchanges]{aastex701}
\received{\today}\submitjournal{AAS Journals}
\newacronym{agn}{AGN}{active galactic nucleus}
\begin{document}
\title{Slow Novae\footnote{Not junk}}
\author[orcid=0000-0001,sname='Nobody']{Jane Nobody}\email[show]{jane@nowhere.example}
\collaboration{all}{The Nowhere collaboration}
\begin{abstract}
\added{We add} three \deleted{junk} novae and one \gls{agn}.\explain{junk}
\end{abstract}
\keywords{\uat{Novae}{1127} --- \uat{Stars}{343}}
\section{Introduction\label{sec:intro}}
\vspace*{-1em}
Novae at \SIrange{1}{5}{\um}, \numlist{1;2} and \anchor{http://junk.example}{a page}.
\begin{interactive}{animation}{junk.mp4}\begin{figure}\caption{Junk}\end{figure}\end{interactive}
\setlength\itemsep{-0.5em}
\section{Main takeaways}
\begin{enumerate}[label=(\roman*), leftmargin=*]\item Novae are slow.\end{enumerate}
\begin{acknowledgments}Thanks.\end{acknowledgments}
\begin{contribution}All wrote.\end{contribution}
\facilities{Junk}
\end{document}
"""

AASTEX4 = r"""
\documentclass[12pt,preprint]{aastex}
\def\spose#1{\hbox to 0pt{#1\hss}}
\def\lta{\mathrel{\spose{\lower 3pt\hbox{$\mathchar"218$}}
     \raise 2.0pt\hbox{$\mathchar"13C$}}}
\def\la{\mathrel{\mathchoice {\vcenter{\offinterlineskip\halign{\hfil
$\displaystyle##$\hfil\cr<\cr\sim\cr}}}{\vcenter{\offinterlineskip\halign{\hfil$\textstyle##$\hfil\cr
<\cr\sim\cr}}}}}
\newcommand{\lsim}{\raisebox{-0.13cm}{~\shortstack{$<$ \\[-0.07cm] $\sim$}}~}
\catcode`\@=11
\def\@versim#1#2{\vcenter{\ialign{$\m@th#1\hfil##\hfil$\crcr#2\crcr\sim\crcr}}}
\def\simgreat{\mathrel{\mathpalette\@versim>}}
\catcode`\@=12
\def\proptwid{\mathrel{\raise.3ex\hbox{$\propto$}\mkern-14mu\lower0.6ex\hbox{$\sim$}}}
\begin{document}
\title{Cores}
\begin{abstract}
Cores at $z\la 0.5$, z \lta\ 1, $z\lsim 3$, $z\simgreat4$ and $L\proptwid r$.
\end{abstract}
\section{Introduction}
Cores collapse at 300\kms and are \lq\lq old\rq\rq.
\section{Final remarks}
Cores collapsed.

{\it Facilities:} \facility{Junk}, \facility{Junk (B)}.
\end{document}
""".replace(r"\begin{document}", "\\newcommand{\\kms}{\\,km\\,s$^{-1}$}\n\\begin{document}", 1)

NATURE = rf"""
\documentclass{{nature}}
\begin{{document}}
\title{{A nova}}
\maketitle
\noindent\textbf{{{_LONG * 3}}}

{_LONG * 4}

{_LONG}

In summary, we have shown that it is slow.

\begin{{methods}}
\subsection{{Photometry.}} We measured it.
\end{{methods}}
\begin{{addendum}}\item We thank nobody.\end{{addendum}}
\end{{document}}
"""

SPRINGER = r"""
\documentclass{sn-jnl}
\begin{document}
\title[Short]{Loops}
\author*[1,2]{\fnm{First} \sur{Junk}}\equalcont{Junk.}
\affil*[1]{\orgdiv{Junk}}
\abstract{\textbf{Purpose:} Loops are looked at.}
\maketitle
\section{Introduction}\label{sec1}
Loops of \ce{^{13}CO+} hold half, \nicefrac{1}{2}, of it.
\begin{theorem}[Noether]\label{thm1}Loops close.\end{theorem}
\section{Concluding thoughts}
Loops closed.
\backmatter
\bmhead{Supplementary information} There is none.
\bmhead{Acknowledgments} We thank nobody.
\end{document}
""".replace(r"\begin{document}", "\\newtheorem{theorem}{Theorem}\n\\begin{document}", 1)

THESIS = r"""
\documentclass{book}
\begin{document}
\title{Dust}
\chapter*{Abstract}
Dust is studied.
\chapter{Introduction}
\epigraph{Junk}{Junk}
Dust is everywhere.
\section{History}
It was.
\chapter{Grains}
\section{Conclusions}
Grains are small.
\chapter{Conclusions}
Dust settles.
\section{Outlook}
More dust.
\end{document}
"""

WHITE_PAPER = r"""
\documentclass{article}
\begin{document}
\begin{center}{\Large\bf Dark Ages}\\{\large A. Junk}\end{center}
\begin{center}{\bf Abstract}\end{center}
They were dark.

Key words: darkness -- junk
\bigskip

\noindent{\bf 1. Introduction}

After recombination it was dark.

\noindent{\bf 2. \ Experiments}

There will be light.

\noindent{\bf 3. Conclusions}

We want to see.

\noindent{\bf Acknowledgements.} We thank nobody.

\noindent{\bf References}

Junk, A. 2001
\end{document}
"""

PLAIN = r"""
\magnification=1200
\font\bigbf=cmbx10 scaled\magstep2
\footline={\hss\tenrm\folio\hss}
\headline={\ifnum\pageno=1 \hfil\else\hfil Junk\hfil\fi}
\centerline{\bigbf Dark Matter}
\centerline{J. Junk$^1$}
\centerline{\bf ABSTRACT}
{\narrower\noindent We find dark matter dark.\smallskip}
\beginsection 1. INTRODUCTION

It was found long ago\footnote{$^1$}{Junk {\it note}.}.
$$ M = {v^2 r \over G} \eqno(1) $$
holds.

\beginsection 2. CONCLUSIONS

It is dark indeed.

\bigskip
\centerline{\bf REFERENCES}
\noindent Junk, Z. 1933.
\bye
"""

HARVMAC = rf"""
\input harvmac
\Title{{JUNK-93}}{{\vbox{{\centerline{{Black Holes and}}\vskip2pt\centerline{{Novae}}}}}}
\centerline{{J. Junk}}
\vskip .3in
{_LONG * 4}
\Date{{2/93}}
\newsec{{Introduction}}
Holes evaporate\ref\hawk{{S. Junk, 1974.}}, see \hawk\ and \refs{{\hawk}}.
\eqn\one{{ S = {{A\over 4}} }}
By \one, they shrink.
\newsec{{Conclusions}}
They are gone.
\listrefs
\bye
"""

PROCEEDINGS = r"""
\documentclass{iau}
\begin{document}
\title[Short]{Clusters}
\begin{sciabstract}Clusters cluster.\end{sciabstract}
\firstsection
\section{Intro}
Clusters of stars, \timeform{12h30m} \unknownlabel{sec:junk}\unknownbox{3cm}{width=2cm}{kept prose}[junk]. Range \crefrange{a}{junk}.
\longtab[2]{\begin{longtable}{c}Junk\end{longtable}}
\subfloat[Junk]{\includegraphics[width=.5\textwidth]{junk}}
\section{Clusters and future work}
They cluster.
\begin{discussion}\discuss{Junk}{Is it so?}\end{discussion}
\section*{Data and Software Availability}
On request.
\end{document}
"""
