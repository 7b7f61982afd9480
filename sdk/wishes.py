"""What one request asks the model for, read from text: `novelty=0.9`, `short=1`, `taxonomy:Horror=2`."""

from __future__ import annotations

from collections.abc import Sequence

from device_runtime import ASKS, Ask
from sdk.errors import InvalidInput


def asked(option: str, texts: Sequence[str]) -> Ask | None:
    """Read asks; None where there are none.

    Args:
        option: what to call them in errors.
        texts: NAME=VALUE each, of names in `device_runtime.ASKS`.

    Raises:
        InvalidInput: not of this form, another name, or a value that is not between 0 and 1.
    """
    values = weighted(option, texts)
    unknown = values.keys() - set(ASKS)
    if unknown:
        raise InvalidInput(f"{option} names one of {', '.join(ASKS)}, not {min(unknown)!r}")
    return Ask(**values) if values else None


def weighted(option: str, texts: Sequence[str]) -> dict[str, float]:
    """Read weights, each NAME=NUMBER; a name may itself hold `=`.

    Raises:
        InvalidInput: not of this form, or a name that is given twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError as error:
            raise InvalidInput(f"{option} takes NAME=NUMBER, got {text!r}") from error
        if not equals or not name:
            raise InvalidInput(f"{option} takes NAME=NUMBER, got {text!r}")
        if name in found:
            raise InvalidInput(f"{option} names {name!r} twice; give it once")
        found[name] = value
    return found
