"""Strict JSON (RFC 7493: no duplicate names, integers only), its canonical form (RFC 8785), and base64 in one encoding only."""

import base64
import json
from typing import Any, Dict, List, Tuple, Union

Json = Any

MAX_DOCUMENT = 64 << 20
"""Bytes of the longest document that is read."""


class FormFault(ValueError):
    """Bytes are not what they must be. The message quotes nothing of them."""


def _integer(text: str) -> int:
    if text == "-0" or len(text) > 17 or abs(int(text)) >= 1 << 53:
        raise FormFault("a number is no integer within ±(2^53 − 1)")
    return int(text)


def _no_number(_: str) -> Json:
    raise FormFault("a number is no integer within ±(2^53 − 1)")


def _object(pairs: List[Tuple[str, Json]]) -> Dict[str, Json]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise FormFault("a name stands twice in an object")
    return out


def parse(data: Union[bytes, str]) -> Json:
    """Reads one JSON value strictly. FormFault if it is none."""
    if len(data) > MAX_DOCUMENT:
        raise FormFault("the document is too large")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number)
        text.encode("utf-8")
    except FormFault:
        raise
    except (ValueError, RecursionError):
        raise FormFault("not well-formed JSON") from None
    return value


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda name: name.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def marshal(value: Json) -> bytes:
    """The canonical bytes (RFC 8785) of a value of strings, integers, booleans, None, lists and dicts."""
    try:
        return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise FormFault("no canonical JSON") from None


def b64u(data: bytes) -> str:
    """Unpadded base64url (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64u(text: str) -> bytes:
    """Reads unpadded base64url; only the one encoding of each value."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise FormFault("not base64url") from None
    if b64u(data) != text:
        raise FormFault("not base64url")
    return data


def unb64(text: str) -> bytes:
    """Reads padded standard base64; only the one encoding of each value."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise FormFault("not base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise FormFault("not base64")
    return data
