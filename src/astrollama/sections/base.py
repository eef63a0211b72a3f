"""What all sections share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

Device = Literal["auto", "cpu", "cuda"]

MAX_SEED = 2**32 - 1


class Section(BaseModel):
    """Unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def list_to_tuple(*fields: str) -> Any:
    """TOML has lists only; what is frozen holds tuples."""

    def convert(value: object) -> object:
        if isinstance(value, str):
            raise ValueError(f'{value!r} is one text: write a list, ["{value}"]')  # noqa: TRY004 — pydantic's way
        return tuple(value) if isinstance(value, list) else value

    return field_validator(*fields, mode="before")(convert)
