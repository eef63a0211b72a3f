"""Papers made for the tests, in the manners of the journals' classes and of several decades; their words are ours."""

from __future__ import annotations

AASTEX = r"""
\documentclass[twocolumn,linenumbers]{aastex631}
\newcommand{\vdag}{(v)^\dagger}
\newcommand\kms{\ifmmode\mathrm{km\,s^{-1}}\else km\,s$^{-1}$\fi}
\DeclareMathOperator*{\argmax}{arg\,max}
\newif\ifdraft\draftfalse
\shorttitle{Short}\shortauthors{Nobody et al.}
\graphicspath{{./}{figures/}}
\begin{document}
\title{A Survey of Slow Novae\footnote{Based on data of nobody.} in M\,31}
\correspondingauthor{Jane Nobody}
\email{jane@nowhere.example}
\author[0000-0002-0000-0000]{Jane Nobody}
\affiliation{Department of Nothing, Nowhere University, Nowhere}
\author{The LongName Collaboration}
\collaboration{99}{(Consortium)}
\begin{abstract}
We survey slow novae in M\,31 at $v < 300$~\kms. % a private remark about the referee
The rate is $12\pm3$~yr$^{-1}$.
\end{abstract}
\keywords{Novae (1127) --- Andromeda Galaxy (39)}
\section{Introduction} \label{sec:intro}
Novae erupt \citep[see][for a review]{Secret2001key, Other1999key}. \citet{Secret2001key} found 50\% of them;
\ifdraft this draft sentence must go \else the final sentence stays\fi. We use \ion{H}{2} regions and \ion{Fe}{ii} lines
with $\argmax_x f(x)$ at $300\,\kms$ in Figure~\ref{fig:one}.
\begin{figure*}[ht!]\plotone{fig.pdf}\caption{The caption with a \textbf{bold} word must go. \label{fig:one}}\end{figure*}
\subsection{Why novae}
Because they are ``bright'' --- brighter than 5--10 others.
\section{Data}
\begin{deluxetable*}{lcc}\tablecaption{Tabulated junk\label{tab}}\tablehead{\colhead{A} & \colhead{B}}
\startdata a & b \\ \enddata\end{deluxetable*}
Photometry is described in \S\ref{sec:intro} and \autoref{tab}; see \url{https://example.org/a_b%20c~d}.
\begin{equation}
\label{eq:flux}
F = \frac{L}{4\pi d^2} \nonumber % not a number
\end{equation}
where $L$ is the luminosity.
\section{Summary and Conclusions}
We conclude that \emph{slow} novae are common.
\begin{acknowledgments}
We thank nobody in particular.
\end{acknowledgments}
\facilities{HST(STIS), Swift}
\software{astropy \citep{AstropyKey}}
\appendix
\section{Extra}
More tables.
\bibliography{refs}
\end{document}
Text behind the end.
"""

MNRAS = r"""
\documentclass[fleqn,usenatbib]{mnras}
\newcommand{\Msun}{\ensuremath{\mathrm{M}_\odot}}
\newcommand{\Mh}[1][200]{\ensuremath{M_{#1}}}
\newcommand{\sbr}[2]{#1 mag arcsec$^{-2}$ (#2)}
\newcommand{\etal}{et~al.\ }
\newcommand\eagle{\textsc{eagle}}
\renewcommand{\vec}[1]{\mathbf{#1}}
\providecommand{\mnras}{WRONG}
\title[Haloes]{Haloes of dwarf galaxies in \eagle: the role of $\Mh$}
\author[N. Obody et al.]{
N. Obody,$^{1}$\thanks{E-mail: n@nowhere.example}
and A. Nother$^{2}$\\
$^{1}$Institute of Nothing, Street 5, Nowhere\\
}
\date{Accepted XXX. Received YYY}
\pubyear{2020}
\begin{document}
\label{firstpage}
\pagerange{\pageref{firstpage}--\pageref{lastpage}}
\maketitle
\begin{abstract}
We study dwarf haloes of $10^{10}$~\Msun{} in \eagle and elsewhere, with \Mh[500] and \sbr{25}{faint}.
\end{abstract}
\begin{keywords}
galaxies: dwarf -- galaxies: haloes
\end{keywords}
\section{Introduction}
Dwarfs are small (e.g.~\citealt{KeyAlpha2000,KeyBeta2001}; \citeauthor{KeyGamma} \citeyear{KeyGamma}). Smith \etal agree, in \mnras\ too,
that $\vec{x}$ matters \citep*{KeyDelta}.
\begin{itemize}
\item First, a thing;
\item[(b)] second, another.
\end{itemize}
\section{Results}
\begin{table}\caption{Junk}\begin{tabular}{cc}1&2\\\end{tabular}\end{table}
\begin{align}
a &= b \label{eq:a}\\
c &= d
\end{align}
\section{Conclusions}
Dwarfs are indeed small: $\Mh\sim10^{10}\,\Msun$.
\section*{Acknowledgements}
Thanks to all.
\section*{Data Availability}
On request.
\bibliographystyle{mnras}
\begin{thebibliography}{99}
\bibitem[\protect\citeauthoryear{A}{B}]{KeyAlpha2000} A. Uthor, 2000, \mnras, 1, 1
\end{thebibliography}
\bsp
\label{lastpage}
\end{document}
"""

AA = r"""
\documentclass[traditabstract]{aa}
\usepackage{txfonts}
\begin{document}
\title{L'\'etude des \'etoiles \`a neutrons}
\subtitle{II. Une suite\thanks{Fond\'e sur rien.}}
\author{Fran\c{c}ois Personne\inst{1} \and M. Wie\ss ner\inst{2}}
\institute{Observatoire de Nulle Part, France \and Sternwarte Nirgends}
\date{Received 1 January}
\abstract
% context heading (optional)
{Neutron stars are dense.}
% aims heading (mandatory)
{We aim to weigh them.}
% methods
{We use the S\'ersic profile and \AA ngstr\"om's ruler.}
{They weigh $1.4\,M_\odot$.}
{}
\keywords{stars: neutron}
\maketitle
%________________________________________________________________
\section{Introduction}
Neutron stars were found by \object{Nobody} at $z\la1$ \citep{Personne99x}; Gonz\'alez-Garc\'{\i}a,
No\"el, Dvo\v{r}\'ak, \L{}ukasz, \O rsted,
Stra\ss e and ni\~no agree.
\begin{acknowledgements}We thank the sky.\end{acknowledgements}
\section{Discussion and conclusions}
They are heavy.
\begin{appendix}
\section{Tables}
Longer tables.
\end{appendix}
\end{document}
"""

AASMS4 = r"""
\documentstyle[12pt,aasms4]{article}
%\documentstyle[aas2pp4]{article}
\tighten
\def\lax{{_<\atop^{\sim}}}
\def\Ms{M_\odot}
\def\ang#1#2{#1$^\circ$#2$'$}
\received{} \accepted{}
\begin{document}
\title{THE OLD GLOBULAR CLUSTERS}
\author{J. Nobody\altaffilmark{1} and A. Nother}
\affil{Nowhere Observatory, Nowhere, NW 12345}
\authoremail{nobody@nowhere.example}
\altaffiltext{1}{Visiting nobody.}
\begin{abstract}
We observed globular clusters of mass $10^5 \Ms$ at \ang{12}{30}.
\end{abstract}
\keywords{globular clusters: general}
\section{INTRODUCTION}
Globular clusters are old (\markcite{Nob90}Nobody 1990; \cite{OldKey}). {\it Hubble} saw them in {\bf 1990}.
\placefigure{fig1}
\section{OBSERVATIONS}
\begin{planotable}{lr}\tablehead{A&B}\startdata 1&2\nl \enddata\end{planotable}
We observed.
\section{CONCLUSIONS}
They are old indeed.
\acknowledgments
We thank the staff. This research was supported by nobody.
\begin{references}
\reference{Nob90} Nobody 1990, ApJ, 1, 1
\end{references}
\clearpage
\figcaption[fig1.ps]{A caption of the old kind. \label{fig1}}
\end{document}
"""

REVTEX_LETTER = r"""
\documentclass[aps,prl,twocolumn,superscriptaddress]{revtex4-1}
\begin{document}
\title{Dark photons from nowhere}
\author{A. Nobody}\affiliation{Nowhere}\email{a@b.example}
\author{B. Nobody}\altaffiliation{Also nowhere}
\date{\today}
\begin{abstract}
Dark photons are not seen.
\end{abstract}
\pacs{95.35.+d}
\maketitle
Dark matter has been sought for decades \cite{LetterKeyA,LetterKeyB}. In this Letter we seek it again, with a detector
that is larger than any before, colder than any before, and placed deeper than any before, so that no muon reaches it and
no neutron either. The detector is described elsewhere; here we only recall that it holds a ton of xenon, that it was
filled in the spring, and that it ran for a year without a break, which no detector of its size has done so far.

The rate is $R = n\sigma v$. No excess is found in the data.
\begin{eqnarray}
R &=& n \sigma v ,
\end{eqnarray}

In conclusion, dark photons were not found, and larger detectors are needed.

{\it Acknowledgments.---}We thank the mine.
\bibliography{letter}
\end{document}
"""

ELSEVIER = r"""
\documentclass[preprint,12pt]{elsarticle}
\journal{Astronomy and Computing}
\begin{document}
\begin{frontmatter}
\title{A pipeline for nothing\tnoteref{t1}}
\tnotetext[t1]{Title note text.}
\author[a]{Jane Nobody\corref{cor1}}\ead{jane@nowhere.example}
\cortext[cor1]{Corresponding author}
\address[a]{Nowhere}
\begin{abstract}
%% Text of abstract
A pipeline reduces data at \SI{10}{\kilo\metre\per\second} and \num{1.5e-3}.
\end{abstract}
\begin{keyword}
pipelines \sep nothing
\end{keyword}
\end{frontmatter}
\section{1. Introduction}
Pipelines are long \citep{elskey2020}.
\begin{lstlisting}[language=Python]
print("code that must go %")  # with {unbalanced
\end{lstlisting}
\begin{algorithm}\caption{Alg}\begin{algorithmic}\State $x \gets 1$\end{algorithmic}\end{algorithm}
The call \verb|run_all(x % 2)| and \lstinline{go()} start it. \begin{tabular}{ll} in & text \\ \end{tabular}
\begin{tikzpicture}\draw (0,0) -- (1,1); \node at (0,0) {junk};\end{tikzpicture}
\begin{subequations}\label{subs}
\begin{equation} a = b \end{equation}
\end{subequations}
\section{4. Conclusions and outlook}
It works.
\section*{CRediT author contributions}
None.
\end{document}
"""

EMULATEAPJ = r"""
\documentclass{emulateapj}
\usepackage{natbib}
\usepackage{mydefs}
\newcommand{\be}{\begin{equation}}
\newcommand{\ee}{\end{equation}}
\newcommand{\bfig}{\begin{figure}}
\newcommand{\efig}{\end{figure}}
\newenvironment{inset}[1]{\begin{quote}\textbf{#1} }{\end{quote}}
\newtheorem{claim}{Claim}
\begin{document}
\title{Groups of groups}
\author{\sc A. Nobody\altaffilmark{1,2}}
\altaffiltext{1}{Nowhere}
\begin{abstract}Groups of \galex\ sources group.\end{abstract}
\keywords{galaxies: groups}
\input{intro}
\include{chapters/method}
\include{chapters/skipped}
\input{../../../etc/passwd}
\input{/etc/passwd}
\section{Concluding remarks}
\be x^2 + y^2 = \rad \label{e} \ee
\bfig \includegraphics{x} \caption{Junk caption} \efig
\begin{inset}{Note} groups are fine.\end{inset}
\begin{claim} Groups exist. \end{claim}
All groups group.\endinput
Nothing of this is read.
"""
EMULATEAPJ_INTRO = (
    "\\section{Introduction}\nGroups\\input parts/deep are everywhere.%\n  % comment alone\n\n Second paragraph.\n"
)
EMULATEAPJ_METHOD = (
    "\\section{Method}\nWe used \\galex{} and \\Hone, \\mass10 and \\pair{a}.{b}.\n\\endinput\nUnread text.\n"
)

PLAIN_TEX = r"""
\magnification=1200
\def\title#1{\centerline{\bf #1}}
\font\big=cmr10 scaled \magstep2
\hsize=6.5in \vsize 8.9 true in
\parindent=0pt
\centerline{\bf A PLAIN PAPER}
\vskip 1cm plus 2pt
\centerline{\bf Abstract}

Plain \TeX\ was enough for stars with $B-V<0.5$.

\bigskip
\noindent{\bf 1. Introduction}

In the beginning there was plain \TeX\ (Nobody 1978), and it was good.

\noindent{\bf 2. Conclusions}

It still is. % private
\bye
"""

LATEX209 = r"""
\documentstyle[epsf,mn]{article}
\input{epsf.sty}
\input aa.sty
\newcommand{\gsim}{\mathrel{\raise.3ex\hbox{$>$\kern-.75em\lower1ex\hbox{$\sim$}}}}
\begin{document}
\title{Quasars at $z\gsim4$}
\author[N. Obody]{N. Obody \\ Nowhere}
\maketitle
\begin{abstract}
Quasars are far, {\em very} far.
\end{abstract}
\section{INTRODUCTION}
Quasars\footnote{A footnote with \verb+code+ that goes.} are bright \cite{q1}. We write 10\,000, 5\arcsec, 3\degr, \kms\ and \lq far\rq.
\section{SUMMARY}
Quasars $\gsim$ everything.
\subsection*{ACKNOWLEDGMENTS}
Thanks.
\begin{thebibliography}{}
\bibitem{q1} Q. Uasar 1999
\end{thebibliography}
\end{document}
"""

CJK = r"""
\documentclass{article}
\usepackage{CJKutf8}
\begin{document}
\begin{CJK*}{UTF8}{gbsn}
\title{观测 Observations \texorpdfstring{$\alpha$}{alpha} Cen}
\author{黄崧}
\maketitle
\begin{abstract}我们观测了 the star.\end{abstract}
\section{Introduction}
The star 恒星 shines, cf.\ \cref{x,y}, \Cref{z} and \hyperref[sec:x]{the section}. \textcolor{red}{Red} and {\color{blue}blue}.
\href{https://example.org/%7Ex#y}{A link} and \footnotemark a mark\footnotetext{Text}.
\iffalse Hidden \ifx\a\b nested \fi text \fi
\begin{comment}
Commented {out
\end{comment}
\ifx\undefinedone\undefinedtwo Same.\else Different.\fi \ifnum 1<2 Less.\else More.\fi
\begin{minipage}[t]{0.5\textwidth}Inside a box.\end{minipage} \raisebox{2pt}[0pt]{Raised} \parbox{3cm}{boxed} \hspace*{1cm}end.
$\mbox{if $a<b$ then}$ and \(x_1\) and \[ y = z \]
\section{Conclusion}
It shines\nocite{*}\citetext{priv.\ comm.}. R\'esum\'e, na\"{\i}ve, \c Cesme, Erd\H{o}s, \r{A}, \u{g}, \=a, \.z, \d{s}, \k{e}, \'{}x.
\end{CJK*}
\end{document}
"""

BIBLATEX = r"""
\documentclass[11pt]{article}
\usepackage[backend=biber]{biblatex}
\addbibresource{refs.bib}
\NewDocumentCommand{\flux}{O{bol} m}{F_{\rm #1}(#2)}
\DeclareRobustCommand{\project}[1]{\textsf{#1}}
\let\oldemph\emph
\renewcommand{\emph}[1]{\oldemph{#1}}
\newcommand{\todo}[1]{}
\makeatletter
\def\@private{hidden}
\newcommand{\shown}{\@private}
\makeatother
\begin{document}
\title{Parallaxes}
\author{A \and B}
\maketitle
\begin{abstract}
\noindent Parallaxes are small: $\flux{x}$ and $\flux[V]{y}$.
\end{abstract}
\section{Motivation}
\project{Gaia} measures parallaxes \parencite[12]{biba}, \textcites(see)()[1]{bibb}[2]{bibc} and \autocite{bibd}. \todo{nothing} \shown
\emph{Emphasis} and \enquote{quotation}; \foreignlanguage{french}{mot}. \lettrine{T}{he} end.\footnote{A note.}
\begin{enumerate}
  \item one
  \item two
\end{enumerate}
\section{Lessons}
Do not. \begin{wrapfigure}{r}{5cm}\includegraphics{w}\caption{No}\end{wrapfigure}
\begin{longtable}{l}junk\\\end{longtable}
\section{Final remarks}
Parallaxes remain small.
\printbibliography
\end{document}
"""
