"""python -m oncegate_client call|verify: exit codes as those of the oncegate command (0 ok or proven, 1 refused or refuted, 2 misuse, 3 not proven)."""

import argparse
import os
import sys
from typing import List

from . import (
    NOT_PROVEN, PROVEN, REFUTED, CallFailed, Client, KeyFault, Problem, TrustFault, Unproven, Verdict, load_trust, read_private_key,
    verify_checkpoint, verify_document,
)
from .operations import OPERATIONS

_CODES = {PROVEN: 0, REFUTED: 1, NOT_PROVEN: 3}
_MARKS = {"ok": "+", "failed": "x", "not-checkable": "-"}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def _call(args: argparse.Namespace) -> int:
    values = dict(value.partition("=")[::2] for value in args.values)
    body = None
    if args.data is not None:
        body = _read("-") if args.data == "-" else _read(args.data[1:]) if args.data.startswith("@") else args.data.encode("utf-8")
    kid = args.kid or os.path.splitext(os.path.basename(args.key))[0]
    with open(args.key, encoding="utf-8") as file:
        key = read_private_key(file.read())
    client = Client(args.url, args.gateway, args.system, args.operator, key, kid, load_trust(args.trust) if args.trust else None)
    try:
        answer = client.call(args.operation, body, **values)
    except Problem as problem:
        sys.stdout.buffer.write(problem.raw + b"\n")
        print("%s\n  %s" % (_printable(str(problem)), _printable(str(problem.advice.get("en", "")))), file=sys.stderr)
        return 1
    sys.stdout.buffer.write(answer.raw + b"\n")
    if answer.verdict:
        print("receipt verified: entry %d; request %s, jti %s" % (answer.verdict.index, answer.request_id, answer.jti), file=sys.stderr)
    else:
        print("receipt NOT verified: no --trust", file=sys.stderr)
    return 0


def _show(name: str, verdict: Verdict) -> None:
    print("%s: %s" % (_printable(name), verdict.verdict))
    for step in verdict.steps:
        print("  %s %s%s" % (_MARKS[step.state], step.name, "  " + _printable(step.reason) if step.reason else ""))


def _verify(args: argparse.Namespace) -> int:
    trust = load_trust(args.trust)
    token = _read(args.token).decode("ascii", "replace") if args.token else None
    worst = 0
    for name in args.files:
        data = _read(name)
        verdict = verify_document(data, trust, token) if data.lstrip()[:1] == b"{" else verify_checkpoint(data, trust)
        _show(name, verdict)
        worst = max(worst, _CODES[verdict.verdict], key=lambda code: (0, 3, 1).index(code))
    return worst


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m oncegate_client", description="Calls an Oncegate gateway, and verifies what it answered.")
    commands = parser.add_subparsers(dest="command", required=True)
    call = commands.add_parser("call", help="make a signed call", description="Makes a signed call, and prints the answer with its receipt as it came.")
    for name, text in (("url", "the gateway's public base URL"), ("gateway", "the gateway's id"), ("system", "the system that calls"), ("key", "PEM file with the system's private key; its name without the ending is the key id")):
        call.add_argument("--" + name, required=True, help=text)
    call.add_argument("--operator", default="python", help="who acts (经办人)")
    call.add_argument("--kid", help="key id, where it is not the file's name")
    call.add_argument("--trust", help="trust folder: the receipt is verified with it")
    call.add_argument("-d", "--data", help="the body: JSON, @FILE, or - for standard input")
    call.add_argument("operation", choices=sorted(OPERATIONS), metavar="operation", help="such as licenses.query")
    call.add_argument("values", nargs="*", metavar="name=value", help="values of the path's parameters, such as no=SP-2026-000123")
    call.set_defaults(run=_call)
    verify = commands.add_parser("verify", help="verify answers, refusals, receipts and checkpoints", description="Verifies answers and refusals with their receipts, receipts, and checkpoints. Licenses and documents within answers are verified by oncegate verify.")
    verify.add_argument("--trust", required=True, help="trust folder")
    verify.add_argument("--token", help="file with the token of the call that the files answer")
    verify.add_argument("files", nargs="+", metavar="FILE", help="- is standard input")
    verify.set_defaults(run=_verify)
    return parser


def main(argv: List[str]) -> int:
    """Runs the command line."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args)
    except Unproven as fault:
        print("oncegate_client: the answer is %s" % _printable(str(fault)), file=sys.stderr)
        return _CODES[fault.verdict.verdict]
    except CallFailed as fault:
        print("oncegate_client: %s (request %s, jti %s)" % (_printable(str(fault)), fault.request_id, fault.jti), file=sys.stderr)
        return 1
    except (TrustFault, KeyFault, ValueError, OSError) as fault:
        print("oncegate_client: %s" % _printable(str(fault)), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
