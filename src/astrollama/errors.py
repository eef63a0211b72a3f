"""Every error a user can meet.

    AstroLlamaError                 something failed                                    exit code 1
    ├── UserInputError              the user's input cannot be used                     exit code 2
    │   ├── RecipeError             a recipe's key or value
    │   ├── SourceError             a file of papers that cannot be read
    │   ├── CorpusError             papers that cannot become a corpus
    │   ├── ModelError              a model that cannot be found, read or combined
    │   ├── RunError                a directory that holds something else, or is unfinished
    │   └── UnsupportedError        something asked of a backend that it cannot do
    ├── NetworkError                a registry, a hub or an API that does not answer
    ├── CostCeilingError            calls to an API that would cost more than is allowed
    ├── TrainingError               training that cannot go on
    └── InterruptedRunError         the user stopped it; what was done is saved         exit code 130

Each message is one line: what failed, with which value, and what to do about it. Mistakes of ours are `assert`s.
"""

from typing import Self


class AstroLlamaError(Exception):
    """Something failed for a reason that can be told in one line.

    Args:
        what: what failed, with the value that made it fail; no full stop at the end.
        fix: what the user can do about it, as an imperative.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str) -> None:
        self.what = " ".join(what.split())
        self.fix = " ".join(fix.split())
        super().__init__(f"{self.what}: {self.fix}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Cross from one process to another whole."""
        return type(self), (self.what, self.fix)


class UserInputError(AstroLlamaError):
    """The user's input cannot be used."""

    exit_code = 2


class RecipeError(UserInputError):
    """A recipe has an unknown key, a wrong type or an impossible value."""


class SourceError(UserInputError):
    """A file of papers is missing, empty, damaged or of another format."""


class CorpusError(UserInputError):
    """The papers that were read cannot become a corpus."""


class ModelError(UserInputError):
    """A model is missing, unsafe, incomplete, or does not belong to what it is combined with."""


class RunError(UserInputError):
    """A directory holds another run, an unfinished one, or none."""


class UnsupportedError(UserInputError):
    """A backend cannot do what is asked of it, such as scoring text through an API for chat."""


class NetworkError(AstroLlamaError):
    """A package registry, a model hub or an API cannot be reached, or refuses."""


class CostCeilingError(AstroLlamaError):
    """The next call to an API would cost more than the user allows; what was answered before it is kept."""


class TrainingError(AstroLlamaError):
    """Training met a state from which it must not go on."""


class InterruptedRunError(AstroLlamaError):
    """The user stopped a run, which saved where it was."""

    exit_code = 130
