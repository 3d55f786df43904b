"""Verification of what a call got: the receipt, and the answer and the call against its record.

There are three verdicts: *proven*, *refuted* (a step failed) and *not proven* (no step failed, but one that proof needs could not be taken). An
unchecked property never counts as proven. Verified is that the gateway recorded exactly this answer in its log, under a checkpoint that the
log's keys signed over both trees. The signatures of licenses within the answer, documents and seals are not verified here: `oncegate verify`
does that.
"""

import hashlib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import canonical, sm
from .trust import LineKey, Trust

PROVEN, REFUTED, NOT_PROVEN = "proven", "refuted", "not-proven"
OK, FAILED, NOT_CHECKABLE = "ok", "failed", "not-checkable"

_MAX_CHECKPOINT = 16 << 10
_MAX_RECORD_VERSION = 4


class Step(NamedTuple):
    """One check: its name, its state (ok, failed, not-checkable) and why it is not ok."""

    name: str
    state: str
    reason: str = ""


class Checkpoint(NamedTuple):
    """The signed root of a log."""

    origin: str
    size: int
    sha256: bytes
    sm3: bytes
    text: bytes  # what is signed
    lines: List[Tuple[str, bytes, bytes]]  # name, key id, signature


class Verdict(NamedTuple):
    """What came of a verification."""

    verdict: str
    steps: List[Step]
    record: Dict[str, Any]  # of the log; {} where it cannot be read
    index: int  # of the record; -1 where it is not known
    witnessed: List[str]  # names of the trust's witnesses that have co-signed

    @property
    def proven(self) -> bool:
        """Whether it is proven."""
        return self.verdict == PROVEN


def parse_checkpoint(note: str) -> Checkpoint:
    """Reads a checkpoint of the form that a gateway writes. It verifies nothing. FormFault if it is none."""
    data = note.encode("utf-8")
    text, gap, rest = data.partition(b"\n\n")
    head = text.split(b"\n")
    if len(data) > _MAX_CHECKPOINT or not gap or len(head) != 4 or not rest.endswith(b"\n") or not head[3].startswith(b"sm3-root "):
        raise canonical.FormFault("malformed checkpoint")
    size = head[1].decode("ascii", "replace")
    if not (size.isdigit() and size.isascii()) or str(int(size[:20])) != size or int(size) >= 1 << 53:
        raise canonical.FormFault("malformed size of a checkpoint")
    roots = [canonical.unb64(head[2].decode("ascii", "replace")), canonical.unb64(head[3][9:].decode("ascii", "replace"))]
    if any(len(root) != 32 for root in roots):
        raise canonical.FormFault("malformed root of a checkpoint")
    lines = []
    for line in rest[:-1].decode("utf-8").split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not parts[1]:
            raise canonical.FormFault("malformed signature line")
        signature = canonical.unb64(parts[2])
        if len(signature) < 5:
            raise canonical.FormFault("malformed signature line")
        lines.append((parts[1], signature[:4], signature[4:]))
    if len(lines) > 100:
        raise canonical.FormFault("too many signature lines")
    return Checkpoint(head[0].decode("utf-8"), int(size), roots[0], roots[1], text + b"\n", lines)


def root_of(leaf: bytes, index: int, size: int, proof: List[bytes], digest: Callable[[bytes], bytes]) -> Optional[bytes]:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2); None if it is not of this index and size."""
    if not 0 <= index < size:
        return None
    node, last = digest(b"\x00" + leaf), size - 1
    for beside in proof:
        if last == 0 or len(beside) != 32:
            return None
        if index & 1 or index == last:
            node = digest(b"\x01" + beside + node)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = digest(b"\x01" + node + beside)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def split(document: bytes) -> Tuple[bytes, Dict[str, Any]]:
    """Takes {answer, receipt}, or a problem with its receipt, apart: the bytes that the record's digest is of, and the receipt."""
    members = canonical.parse(document)
    if not isinstance(members, dict) or not isinstance(members.get("receipt"), dict):
        raise canonical.FormFault("there is no receipt")
    receipt = members.pop("receipt")
    answer = members["answer"] if set(members) == {"answer"} else members
    return canonical.marshal(answer), receipt


class _Receipt(NamedTuple):
    leaf: bytes
    record: Dict[str, Any]
    index: int
    proofs: Dict[str, List[bytes]]
    checkpoint: Checkpoint


def _parse_receipt(receipt: Dict[str, Any]) -> _Receipt:
    try:
        if set(receipt) != {"record", "index", "proofs", "checkpoint"} or set(receipt["proofs"]) != {"sm3", "sha256"}:
            raise canonical.FormFault("malformed receipt")
        leaf, index = canonical.unb64u(receipt["record"]), receipt["index"]
        proofs = {name: [canonical.unb64(text) for text in receipt["proofs"][name]] for name in ("sm3", "sha256")}
        if not isinstance(index, int) or isinstance(index, bool) or any(len(p) > 64 for p in proofs.values()):
            raise canonical.FormFault("malformed receipt")
        record = canonical.parse(leaf)
        if not isinstance(record, dict) or canonical.marshal(record) != leaf:
            raise canonical.FormFault("the record is not in its canonical form")
        return _Receipt(leaf, record, index, proofs, parse_checkpoint(receipt["checkpoint"]))
    except (KeyError, TypeError, AttributeError, UnicodeError):
        raise canonical.FormFault("malformed receipt") from None


def _line_step(name: str, key: LineKey, note: Checkpoint, digest_of: str) -> Step:
    lines = [s for n, i, s in note.lines if n == key.name and i == key.id]
    if not lines:
        return Step(name, NOT_CHECKABLE, "the checkpoint has no line of the log's %s key" % digest_of)
    if not all(key.verify(note.text, s) for s in lines):
        return Step(name, FAILED, "the line of the log's %s key does not verify" % digest_of)
    return Step(name, OK)


def _note_steps(note: Checkpoint, trust: Trust) -> List[Step]:
    log = trust.logs.get(note.origin)
    if log is None:
        return [Step("log-known", NOT_CHECKABLE, "the trust does not name the log of this checkpoint")]
    return [_line_step("checkpoint-" + key.kind, key, note, "SM2" if key.kind == "sm2" else "Ed25519") for key in log.keys]


def _witness_step(note: Checkpoint, trust: Trust) -> Tuple[Step, List[str]]:
    signed = []
    for name, keys in sorted(trust.witnesses.items()):
        for key in keys:
            step = _line_step("witness", key, note, "witness's")
            if step.state == FAILED:
                return Step("witness", FAILED, "the line of witness %s does not verify" % name), []
            if step.state == OK and name not in signed:
                signed.append(name)
    if len(signed) < trust.required_witnesses:
        return Step("witness", NOT_CHECKABLE, "co-signed by %d witnesses, %d are required" % (len(signed), trust.required_witnesses)), signed
    if not signed:
        return Step("witness", NOT_CHECKABLE, "no witness that the trust names has co-signed: unwitnessed"), signed
    return Step("witness", OK), signed


def _tree_step(name: str, r: _Receipt, digest: Callable[[bytes], bytes], root: bytes) -> Step:
    if root_of(r.leaf, r.index, r.checkpoint.size, r.proofs[name], digest) != root:
        return Step("inclusion-" + name, FAILED, "the record is not in the tree of the checkpoint")
    return Step("inclusion-" + name, OK)


def _digest_step(name: str, record: Dict[str, Any], member: str, data: Optional[bytes], what: str) -> Step:
    if data is None:
        return Step(name, NOT_CHECKABLE, "the %s is not at hand" % what)
    if record.get(member) != canonical.b64u(sm.sm3(data)):
        return Step(name, FAILED, "the record is of another %s" % what)
    return Step(name, OK)


def _verify(receipt: Dict[str, Any], answer: Optional[bytes], trust: Trust, token: Optional[str]) -> Verdict:
    try:
        r = _parse_receipt(receipt)
    except (canonical.FormFault, UnicodeError) as fault:
        return Verdict(REFUTED, [Step("readable", FAILED, str(fault))], {}, -1, [])
    steps = [Step("readable", OK)]
    version = r.record.get("v")
    if not isinstance(version, int) or version < 1:
        steps.append(Step("record", FAILED, "the leaf is no record"))
    elif version > _MAX_RECORD_VERSION:
        steps.append(Step("record", NOT_CHECKABLE, "the record is of a newer version"))
    else:
        steps.append(Step("record", OK))
    steps.append(_digest_step("record-answer", r.record, "answer_digest", answer, "answer"))
    steps.append(_digest_step("record-token", r.record, "token_digest", None if token is None else token.strip().encode("utf-8"), "call"))
    steps += _note_steps(r.checkpoint, trust)
    steps.append(_tree_step("sm3", r, sm.sm3, r.checkpoint.sm3))
    steps.append(_tree_step("sha256", r, _sha256, r.checkpoint.sha256))
    witness, witnessed = _witness_step(r.checkpoint, trust)
    steps.append(witness)
    steps += [Step(name, NOT_CHECKABLE, "the trust requires it, and this client cannot check it: use oncegate verify") for name in trust.required_beyond]
    may_stay_open = {"record-token"} | (set() if trust.required_witnesses else {"witness"}) | ({"record-answer"} if answer is None else set())
    return Verdict(_judge(steps, may_stay_open), steps, r.record, r.index, witnessed)


def _judge(steps: List[Step], may_stay_open: set) -> str:
    if any(step.state == FAILED for step in steps):
        return REFUTED
    if any(step.state != OK and step.name not in may_stay_open for step in steps):
        return NOT_PROVEN
    return PROVEN


def verify_document(document: bytes, trust: Trust, token: Optional[str] = None) -> Verdict:
    """Verifies an answer or a refusal with its receipt, as it came or was filed, or a receipt alone.

    With the token of the call, also that the record is of this call. Without it `record-token` stays open, which proof of the answer does not
    need. Of a receipt alone only its record is proven.
    """
    try:
        members = canonical.parse(document)
        if isinstance(members, dict) and "record" in members and "proofs" in members:
            return _verify(members, None, trust, token)
        answer, receipt = split(document)
    except canonical.FormFault as fault:
        return Verdict(REFUTED, [Step("readable", FAILED, str(fault))], {}, -1, [])
    return _verify(receipt, answer, trust, token)


def verify_checkpoint(note: bytes, trust: Trust) -> Verdict:
    """Verifies the signature lines of a checkpoint."""
    try:
        checkpoint = parse_checkpoint(note.decode("utf-8"))
    except (canonical.FormFault, UnicodeError) as fault:
        return Verdict(REFUTED, [Step("readable", FAILED, str(fault))], {}, -1, [])
    witness, witnessed = _witness_step(checkpoint, trust)
    steps = [Step("readable", OK)] + _note_steps(checkpoint, trust) + [witness]
    return Verdict(_judge(steps, set() if trust.required_witnesses else {"witness"}), steps, {}, -1, witnessed)
