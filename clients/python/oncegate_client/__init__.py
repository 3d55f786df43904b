"""A client of an Oncegate gateway (一次办数据网关), on nothing but Python's standard library: signed calls, and verified receipts.

    from oncegate_client import Client, load_trust, read_private_key

    client = Client("https://gateway.example", "yunchuan-gateway", "food-approval", "clerk-7",
                    key=read_private_key(open("food-approval-2.pem").read()), kid="food-approval-2", trust=load_trust("trust"))
    checked = client.call("cases.check", {}, no="SP-2026-000123")
"""

from .client import Answer, CallFailed, Client, Problem, Unproven
from .receipt import NOT_PROVEN, PROVEN, REFUTED, Step, Verdict, verify_checkpoint, verify_document
from .sm import KeyFault, read_private_key
from .trust import Trust, TrustFault
from .trust import load as load_trust

__all__ = [
    "Answer", "CallFailed", "Client", "KeyFault", "NOT_PROVEN", "PROVEN", "Problem", "REFUTED", "Step", "Trust", "TrustFault", "Unproven", "Verdict",
    "load_trust", "read_private_key", "verify_checkpoint", "verify_document",
]
