"""Frozen dataclasses of settings from mappings, overrides and files, and back.

Unknown names, wrong types and impossible values are errors of one line that name the
rule, the value and the remedy.
"""

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from infinitygan_jax.messages import UserError, nearest

# Values that settings stored by earlier versions have, and what they are now.
_FORMER = {"train.augment": {"none": (), "color": ("color",)}}


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionary of a settings dataclass (tuples stay tuples)."""
    return dataclasses.asdict(config)


def differences(first: Any, second: Any) -> list[str]:
    """Lines ``name: first -> second`` of the settings in which two configs differ."""
    left, right = by_name(first), by_name(second)
    return [
        f"{name}: {left[name]} -> {right[name]}"
        for name in left
        if left[name] != right[name]
    ]


def by_name(config: Any) -> dict[str, Any]:
    """Every setting by its name, such as ``train.seed``."""
    return _flatten(to_dict(config))


def setting_lines(config: Any) -> list[str]:
    """Every setting as ``name = value``, for people; an empty text is left out."""
    return [f"{k} = {v}" for k, v in by_name(config).items() if v != ""]


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def build(cls: type, mapping: Any, prefix: str = "") -> Any:
    """Settings of a dataclass from nested mappings; absent ones are defaults.

    Args:
      cls: the dataclass.
      mapping: of its settings, by name.
      prefix: what messages put before their names.

    Raises:
      ValueError: an unknown name (the nearest is named), a wrong type, or a value that
        breaks a rule.
    """
    if not isinstance(mapping, Mapping | ml_collections.ConfigDict):
        raise UserError(
            f"setting {prefix.rstrip('.')} ({mapping!r}) must be a group of settings; "
            "name each with its value"
        )
    types = _types_of(cls)
    values = {}
    for name in mapping:
        value = mapping[name]
        if name not in types:
            raise UserError(unknown_name(prefix + name, [prefix + n for n in types]))
        if dataclasses.is_dataclass(types[name]):
            values[name] = build(types[name], value, f"{prefix}{name}.")
        else:
            if isinstance(value, str):
                value = _FORMER.get(prefix + name, {}).get(value, value)
            values[name] = _coerce(prefix + name, value, types[name])
    return cls(**values)


def unknown_name(name: str, valid: list[str]) -> str:
    """One line for an unknown setting: the nearest valid name, or all of them."""
    near = nearest(name, valid)
    remedy = f"the nearest is {near}" if near else "valid are " + ", ".join(valid)
    return f"unknown setting {name}; {remedy}"


def _coerce(name: str, value: Any, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if isinstance(value, (list, tuple)):
            return tuple(_coerce(name, v, element) for v in value)
    elif kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is kind and (kind is not float or math.isfinite(value)):
        return value
    raise UserError(wrong_type(name, value, kind))


def wrong_type(name: str, value: Any, kind: Any) -> str:
    """One line for a setting's value that is not of its type, with what is."""
    element, *rest = typing.get_args(kind) or (kind,)
    expected, remedy = {
        bool: ("true or false", "use one of the two"),
        float: ("a finite number", "write it in digits, such as 0.5 or 1e-3"),
        int: ("a whole number", "write it in digits, such as 1000"),
        str: ("a text", "put it in quotes"),
    }[element]
    if rest:
        example = "('color',)" if element is str else "(64, 32)"
        expected = f"a list, such as {example}, of which each is {expected}"
        remedy = "use brackets and commas"
    return f"setting {name} ({value!r}) must be {expected}; {remedy}"


def setting_types(cls: type, prefix: str = "") -> dict[str, Any]:
    """Every setting's full name, as ``model.patch_size``, and its type."""
    types: dict[str, Any] = {}
    for name, kind in _types_of(cls).items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            types |= setting_types(kind, f"{prefix}{name}.")
        else:
            types[prefix + name] = kind
    return types


def _types_of(cls: type) -> dict[str, Any]:
    """Settings of a dataclass, by name; what its class alone has is none."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def check_positive(config: Any, prefix: str, zero: Sequence[str] = ()) -> None:
    """Checks that all numbers of a dataclass are above 0, or at least 0.

    Args:
      config: the dataclass.
      prefix: what messages put before names.
      zero: names of those that may be 0.

    Raises:
      ValueError: one is not.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        values = value if isinstance(value, tuple) else (value,)
        for number in values:
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                continue
            if number < 0 or (number == 0 and field.name not in zero):
                rule, remedy = "above 0", f"a number such as {field.default}"
                if field.name in zero:
                    rule, remedy = "at least 0", "0 or more"
                elif isinstance(number, int):
                    remedy = "1 or more"
                raise UserError(
                    f"{prefix}.{field.name} ({value}) must be {rule}; use {remedy}"
                )


def check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Checks that a text is one of a few.

    Raises:
      ValueError: it is not; the message lists them.
    """
    if value not in valid:
        raise UserError(f"{name} ({value!r}) must be one of {', '.join(valid)}")


def check_length(name: str, values: tuple[int, ...], least: int) -> None:
    """Checks that a list is long enough for the size of patches.

    Raises:
      ValueError: it is not.
    """
    if len(values) < least:
        raise UserError(
            f"{name} ({', '.join(map(str, values))}) needs at least {least} entries "
            f"for this patch_size and has {len(values)}; add {least - len(values)}, or "
            "use a smaller model.patch_size"
        )
