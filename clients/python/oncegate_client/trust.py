"""The trust folder: whom a verifier trusts. It comes through a separate channel, never from what is verified."""

import hashlib
import os
from typing import Dict, List, NamedTuple

from . import canonical, sm

_SM2_TYPE = b"\xffoncegate/sm2-sm3/v1"
_ED25519, _COSIGNATURE = b"\x01", b"\x04"


class TrustFault(ValueError):
    """The trust folder cannot be used."""


def _key_id(name: str, kind: bytes, key: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8") + b"\n" + kind + key).digest()[:4]


class LineKey(NamedTuple):
    """A key whose signature lines in checkpoints are known."""

    name: str
    id: bytes  # 4 bytes
    kind: str  # "sm2", "ed25519" or "cosignature"
    public: bytes  # 04‖x‖y, or 32 bytes of Ed25519

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Whether a line's signature is this key's over the note's text."""
        if self.kind == "sm2":
            return sm.verify(sm.parse_point(self.public), text, signature)
        if self.kind == "ed25519":
            return sm.verify_ed25519(self.public, text, signature)
        if len(signature) != 72:  # cosignature/v1: the time, and the signature over it and the text
            return False
        at = int.from_bytes(signature[:8], "big")
        return at < 1 << 40 and sm.verify_ed25519(self.public, b"cosignature/v1\ntime %d\n" % at + text, signature[8:])


class Log(NamedTuple):
    """A log: its name and its keys. Each key that stands here must have signed."""

    origin: str
    keys: List[LineKey]


def _vkey(line: str) -> LineKey:
    parts = line.strip().split("+", 2)
    try:
        name, hashed, key = parts[0], bytes.fromhex(parts[1]), canonical.unb64(parts[2])
    except (IndexError, ValueError):
        raise TrustFault("a vkey line is name+hash+key") from None
    kind, public = key[:1], key[1:]
    if not name or kind not in (_ED25519, _COSIGNATURE) or len(public) != 32 or _key_id(name, kind, public) != hashed:
        raise TrustFault("a vkey line is not of an Ed25519 key, or its id is of another one")
    return LineKey(name, hashed, "ed25519" if kind == _ED25519 else "cosignature", public)


class Trust(NamedTuple):
    """What a verifier trusts: logs by origin, witnesses by name, the gateway's id, how many witnesses must have signed, and what else the
    trust requires (`require` of trust.json) that this client cannot check."""

    logs: Dict[str, Log]
    witnesses: Dict[str, List[LineKey]]
    gateway: str
    required_witnesses: int
    required_beyond: List[str]


def _text_of(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read(1 << 20).decode("utf-8")
    except (OSError, ValueError) as fault:
        raise TrustFault("trust names %s, which cannot be read: %s" % (name, fault)) from None


def _line(folder: str, text: str) -> LineKey:
    """A vkey line, or the file that holds it."""
    return _vkey(text if text.count("+") >= 2 else _text_of(folder, text))


def load(path: str) -> Trust:
    """Reads a trust folder, or its trust.json. TrustFault if it cannot be used."""
    folder, name = (path, "trust.json") if os.path.isdir(path) else os.path.split(path)
    try:
        said = canonical.parse(_text_of(folder, name))
        logs = {}
        for log in said["logs"]:
            origin = log["origin"]
            point = sm.marshal_point(sm.read_public_key(_text_of(folder, log["sm2"])))
            keys = [LineKey(origin, _key_id(origin, _SM2_TYPE, point), "sm2", point)]
            if log.get("ed25519"):
                keys.append(_line(folder, log["ed25519"]))
                if keys[1].kind != "ed25519" or keys[1].name != origin:
                    raise TrustFault("the Ed25519 key of log %s is another log's or a witness's" % origin)
            logs[origin] = Log(origin, keys)
        witnesses = {}  # type: Dict[str, List[LineKey]]
        for text in said.get("witnesses") or []:
            key = _line(folder, text)
            # A key of type 0x01 signs plain notes, and cosignatures under the id that type 0x04 gives.
            cosigner = LineKey(key.name, _key_id(key.name, _COSIGNATURE, key.public), "cosignature", key.public)
            witnesses.setdefault(key.name, []).extend([key, cosigner] if key.kind == "ed25519" else [key])
        require = said.get("require") or {}
        required = require.get("witnesses") or 0
        if not logs or not isinstance(required, int):
            raise TrustFault("trust names no log")
        return Trust(logs, witnesses, said.get("gateway") or "", required, sorted(name for name, wanted in require.items() if wanted and name != "witnesses"))
    except (KeyError, TypeError, AttributeError, canonical.FormFault, sm.KeyFault) as fault:
        raise TrustFault("trust cannot be used: %s" % fault) from None
