"""Signed calls."""

import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, NamedTuple, Optional, Union

from . import canonical, receipt, sm
from .operations import OPERATIONS
from .trust import Trust

_MAX_ANSWER = 64 << 20
_MAX_LIFETIME = 300

Signer = Callable[[bytes], bytes]
"""Makes r‖s (64 bytes) over a message, as sm.sign does; for keys that live in a device."""


class Problem(Exception):
    """The gateway refused the call. Branch on `code`, never on a sentence."""

    def __init__(self, document: Dict[str, Any], raw: bytes, verdict: Optional[receipt.Verdict]) -> None:
        super().__init__("%s: %s" % (document["code"], document.get("en", "")))
        self.document, self.raw, self.verdict = document, raw, verdict
        self.code = str(document["code"])
        self.status = document.get("status")
        self.party = document.get("party", "")
        self.retry = document.get("retry") is True
        self.retry_after = document.get("retry_after", 0)
        self.advice = document.get("advice", {})


class Unproven(Exception):
    """An answer or a refusal came whose receipt is not proven: do not use it. `raw` is what came."""

    def __init__(self, verdict: receipt.Verdict, raw: bytes) -> None:
        why = [step for step in verdict.steps if step.state != receipt.OK and step.name != "witness"]
        super().__init__("%s: %s" % (verdict.verdict, "; ".join(step.name + ": " + step.reason for step in why)))
        self.verdict, self.raw = verdict, raw


class CallFailed(Exception):
    """No answer came. The gateway may have recorded the call: ask `receipts` for `jti`, and call again with `request_id`."""

    def __init__(self, operation: str, jti: str, request_id: str, why: str) -> None:
        super().__init__("call %s: %s" % (operation, why))
        self.operation, self.jti, self.request_id = operation, jti, request_id


class Answer(NamedTuple):
    """An answer as it came."""

    status: int  # 200, or 201 where something was made
    answer: Any  # the `answer` member
    raw: bytes  # {answer, receipt}: what to file
    token: str  # of the call: file it beside the answer
    body: bytes  # of the call
    jti: str
    request_id: str
    verdict: Optional[receipt.Verdict]  # None without trust


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A call is signed for one URL."""

    def redirect_request(self, *_: Any) -> None:
        return None


def new_id(now: float) -> str:
    """A UUIDv7: it begins with the time, as a jti must."""
    value = int(now * 1000) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    text = "%032x" % value
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Client:
    """Makes signed calls to one gateway as one system.

    url          the gateway's public base URL exactly as it publishes it: calls are signed for it
    gateway      the gateway's id, the audience of calls
    system       our id as the gateway knows it
    operator     who acts (经办人)
    key, kid     our private key (sm.read_private_key) or a Signer, and the key id under which it is registered
    trust        verifies the receipt of every answer (trust.load); None: receipts are not verified
    tries        attempts of a call where the problem says that a retry may succeed
    timeout      seconds for one attempt
    now, sleep   the clock
    """

    def __init__(
        self, url: str, gateway: str, system: str, operator: str, key: Union[int, Signer], kid: str, trust: Optional[Trust] = None,
        tries: int = 4, timeout: float = 30.0, now: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("the base URL is no http or https URL")
        if not (gateway and system and operator and kid):
            raise ValueError("gateway, system, operator and kid are required")
        self._url, self._gateway, self._system, self._operator, self._kid = url.rstrip("/"), gateway, system, operator, kid
        self._sign = (lambda message: sm.sign(key, message)) if isinstance(key, int) else key
        self._trust, self._tries, self._timeout, self._now, self._sleep = trust, tries, timeout, now, sleep
        self._opener = urllib.request.build_opener(_NoRedirect)

    def call(self, operation: str, body: Any = None, request_id: Optional[str] = None, **values: Union[str, int]) -> Answer:
        """Makes a call by the name of its operation, such as "licenses.query" or "cases.check".

        body is what to ask, as JSON-like values; bytes are signed and sent as they are. values are those of the path's parameters:
        `call("cases.check", {}, no="SP-2026-000123")`. Raises Problem, Unproven or CallFailed. A call that is made again by hand keeps its
        request_id, so that statistics count it once.
        """
        if operation not in OPERATIONS:
            raise ValueError("there is no operation %s" % operation)
        method, path = OPERATIONS[operation]
        if method == "POST":
            sent = body if isinstance(body, bytes) else json.dumps({} if body is None else body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        elif body is None:
            sent = b""
        else:
            raise ValueError("%s takes no body" % operation)
        for name, value in values.items():
            path = path.replace("{%s}" % name, urllib.parse.quote(str(value), safe="-._~"))
        if "{" in path:
            raise ValueError("%s needs a value for %s" % (operation, path[path.index("{") :]))
        rid = request_id or new_id(self._now())
        for attempt in range(self._tries):
            try:
                return self._attempt(operation, method, self._url + path, sent, rid)
            except Problem as problem:
                if not problem.retry or attempt + 1 == self._tries:
                    raise
                self._sleep(min(float(problem.retry_after or 0.1 * 2**attempt), 60.0))
        raise ValueError("tries must be at least 1")

    def sign(self, method: str, url: str, body: bytes, jti: str, request_id: str, lifetime: int = 60) -> str:
        """The token of one call: a compact JWS that names caller, receiver, time, one use, and the exact request."""
        issued = int(self._now())
        header = {"typ": "oncegate-call+jwt", "alg": "SM2SM3", "kid": self._kid}
        claims = {
            "iss": self._system, "aud": self._gateway, "iat": issued, "exp": issued + min(lifetime, _MAX_LIFETIME), "jti": jti, "htm": method,
            "htu": url, "sm3": canonical.b64u(sm.sm3(body)), "opr": self._operator, "rid": request_id,
        }
        signed = canonical.b64u(canonical.marshal(header)) + "." + canonical.b64u(canonical.marshal(claims))
        return signed + "." + canonical.b64u(self._sign(signed.encode("ascii")))

    def _attempt(self, operation: str, method: str, url: str, body: bytes, rid: str) -> Answer:
        jti = new_id(self._now())
        token = self.sign(method, url, body, jti, rid)
        headers = {"Authorization": "Bearer " + token}
        if method == "POST":
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data=body if method == "POST" else None, headers=headers, method=method)
        try:
            status, media, raw = self._send(request)
        except OSError as fault:
            raise CallFailed(operation, jti, rid, str(fault)) from None
        if media == "application/problem+json":
            raise self._problem(operation, jti, rid, token, raw)
        if status not in (200, 201) or media != "application/json":
            raise CallFailed(operation, jti, rid, "unexpected status %d, %s" % (status, media))
        verdict = self._verified(raw, token)
        try:
            answer = canonical.parse(raw)["answer"]
        except (canonical.FormFault, KeyError, TypeError):
            raise CallFailed(operation, jti, rid, "the answer cannot be read") from None
        return Answer(status, answer, raw, token, body, jti, rid, verdict)

    def _send(self, request: urllib.request.Request) -> Any:
        try:
            response = self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as refused:  # it is a response, too
            response = refused
        with response:
            raw = response.read(_MAX_ANSWER + 1)
            if len(raw) > _MAX_ANSWER:
                raise OSError("the answer is too large")
            return response.getcode(), response.headers.get_content_type(), raw

    def _verified(self, raw: bytes, token: str) -> Optional[receipt.Verdict]:
        if self._trust is None:
            return None
        verdict = receipt.verify_document(raw, self._trust, token)
        if not verdict.proven:
            raise Unproven(verdict, raw)
        return verdict

    def _problem(self, operation: str, jti: str, rid: str, token: str, raw: bytes) -> Exception:
        try:
            document = canonical.parse(raw)
            recorded = "receipt" in document
            verdict = self._verified(raw, token) if recorded else None
            return Problem(document, raw, verdict)
        except (canonical.FormFault, KeyError, TypeError):
            return CallFailed(operation, jti, rid, "the problem document cannot be read")
