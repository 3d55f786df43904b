"""The client against a gateway of the sample city, as a programmer of a calling system has it: made by the demo, with a key of its own."""

import base64
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from oncegate_client import NOT_PROVEN, PROVEN, REFUTED, CallFailed, Client, Problem, TrustFault, Unproven, canonical, load_trust, read_private_key, receipt, sm, verify_checkpoint, verify_document

ROOT = pathlib.Path(__file__).resolve().parents[3]  # of the repository

os.environ["no_proxy"] = "127.0.0.1"


def free_address():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % s.getsockname()[1]


class City:
    """The demo's city, told to its end, with a second key of food-approval; and its gateway, which serves."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="oncegate-python-"))
        self.program = os.environ.get("ONCEGATE_BINARY") or self.build()
        self.run("demo", "--once", "--json", "--dir", str(self.dir))
        self.config = self.dir / "gateway" / "oncegate.yaml"
        self.key = self.dir / "food-approval-2.pem"
        request = self.dir / "food-approval-2.csr"
        request.write_bytes(self.run("keys", "new", "--file", str(self.key), "--owner", "food-approval"))
        certificate = self.run("keys", "sign", "-c", str(self.config), "food-approval", str(request))
        (self.dir / "gateway" / "certificates" / "food-approval-2.pem").write_bytes(certificate)
        text = self.config.read_text(encoding="utf-8").replace("[certificates/food-approval-1.pem]", "[certificates/food-approval-1.pem, certificates/food-approval-2.pem]")
        address = free_address()
        text = re.sub(r"(?m)^(  public_url: http://|  listen: )127\.0\.0\.1:\d+", r"\g<1>" + address, text)
        self.config.write_text(re.sub(r"(?m)^(  admin: )127\.0\.0\.1:\d+", r"\g<1>127.0.0.1:0", text), encoding="utf-8")
        self.url, self.trust_dir = "http://" + address, self.dir / "trust"
        self.run("keys", "export", "-c", str(self.config), "--trust", str(self.trust_dir))
        self.trust = load_trust(str(self.trust_dir))
        self.answer = (self.dir / "artefacts" / "answer.json").read_bytes()
        self.token = (self.dir / "artefacts" / "request.jwt").read_text()
        told = json.loads(self.answer)["answer"]
        self.case, self.company = told["case"], told["materials"][0]["fields"]["holder_code.0"]
        self.node = subprocess.Popen([self.program, "serve", "-c", str(self.config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        said = b""
        for line in self.node.stderr:
            said += line
            if b"msg=serving" in line:
                break
        else:
            raise RuntimeError(said.decode())

    def build(self):
        out = str(self.dir / "oncegate")
        subprocess.run(["go", "build", "-o", out, "./cmd/oncegate"], cwd=str(ROOT), check=True)
        return out

    def run(self, *args):
        return subprocess.run((self.program,) + args, check=True, stdout=subprocess.PIPE).stdout

    def client(self, **changed):
        args = dict(url=self.url, gateway="yunchuan-gateway", system="food-approval", operator="clerk-7", key=read_private_key(self.key.read_text()), kid="food-approval-2", trust=self.trust)
        return Client(**dict(args, **changed))

    def question(self, **changed):
        return dict({"license_type": "business-license", "holder": {"type": "001", "code": self.company}, "purpose": {"case": self.case, "material": "business-license"}}, **changed)

    def stop(self):
        self.node.terminate()
        self.node.stderr.read()  # its log must not fill the pipe
        self.node.stderr.close()
        self.node.wait()
        shutil.rmtree(str(self.dir))


class Gateway(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.city = City()

    @classmethod
    def tearDownClass(cls):
        cls.city.stop()

    # ---- calls ------------------------------------------------------------------------------------------------------------

    def test_query(self):
        got = self.city.client().call("licenses.query", self.city.question(fields=["holder_name", "legal_representative"]))
        self.assertEqual(got.answer["found"], "found")
        self.assertEqual(sorted(got.answer["licenses"][0]["fields"]), ["holder_name.0", "legal_representative"])
        self.assertEqual((got.verdict.verdict, got.verdict.record["system"]), (PROVEN, "food-approval"))
        self.assertTrue(all(s.state == receipt.OK for s in got.verdict.steps if s.name != "witness"), got.verdict.steps)
        # What is filed can be proven by the other program, too.
        for name, data in (("answer.json", got.raw), ("request.jwt", got.token.encode()), ("request.body", got.body)):
            (self.city.dir / name).write_bytes(data)
        out = subprocess.run([self.city.program, "verify", "--json", "--trust", str(self.city.trust_dir), "answer.json", "request.jwt", "request.body"], cwd=str(self.city.dir), stdout=subprocess.PIPE).stdout
        verified = {v["name"]: v for v in json.loads(out)["artefacts"]}
        self.assertFalse([s for v in verified.values() for s in v["steps"] if s["state"] == "failed"])

    def test_path_and_get(self):
        self.assertEqual(self.city.client().call("cases.check", no=self.city.case).answer["case"], self.city.case)
        self.assertTrue(self.city.client().call("catalog.matters").answer["matters"])
        with self.assertRaises(ValueError):
            self.city.client().call("cases.check")
        with self.assertRaises(ValueError):
            self.city.client().call("no.such")

    def test_refusal(self):
        with self.assertRaises(Problem) as caught:
            self.city.client().call("licenses.query", self.city.question(purpose={"case": "SP-2026-999999"}))
        p = caught.exception
        self.assertEqual((p.code, p.party, p.retry, p.status, p.verdict.verdict), ("case-not-usable", "policy", False, 403, PROVEN))
        self.assertIn("zh", p.advice)
        self.assertEqual(self.flips(p.raw, 40, lambda changed: verify_document(changed, self.city.trust)), [])

    def test_wrong_audience(self):
        with self.assertRaises(Problem) as caught:
            self.city.client(gateway="another-gateway").call("catalog.types")
        self.assertEqual((caught.exception.code, caught.exception.verdict), ("token-wrong-audience", None))

    def test_expired(self):
        with self.assertRaises(Problem) as caught:
            self.city.client(now=lambda: time.time() - 3600).call("catalog.types")
        self.assertEqual(caught.exception.code, "token-expired")

    def test_other_key(self):
        with self.assertRaises(Problem) as caught:
            self.city.client(key=1 + read_private_key(self.city.key.read_text())).call("catalog.types")
        self.assertEqual(caught.exception.code, "token-bad-signature")

    def test_signer(self):
        key = read_private_key(self.city.key.read_text())
        self.assertEqual(self.city.client(key=lambda message: sm.sign(key, message)).call("catalog.types").status, 200)

    def test_nobody_there(self):
        with self.assertRaises(CallFailed) as caught:
            self.city.client(url="http://" + free_address()).call("catalog.types")
        self.assertTrue(caught.exception.jti and caught.exception.request_id)

    def test_retry(self):
        """A problem that says so is tried again, with a new token and the same request id; another is not."""
        for retry, attempts in ((True, 3), (False, 1)):
            client, tokens, waited = self.city.client(tries=3, sleep=lambda s: waited.append(s)), [], []
            refused = canonical.marshal({"code": "overloaded", "status": 503, "retry": retry, "retry_after": 7})
            client._send = lambda request: (tokens.append(request.get_header("Authorization")), (503, "application/problem+json", refused))[1]
            self.assertRaises(Problem, client.call, "catalog.types")
            claims = [canonical.parse(canonical.unb64u(t.split(".")[1])) for t in tokens]
            self.assertEqual((len(set(c["jti"] for c in claims)), len(set(c["rid"] for c in claims)), waited), (attempts, 1, [7.0] * (attempts - 1)))

    def test_altered_on_the_way(self):
        """An answer that somebody alters between gateway and client is not handed out, nor one to another call."""
        client = self.city.client()
        send = client._send
        client._send = lambda request: (lambda status, media, raw: (status, media, raw.replace("营业执照".encode(), "营业执罩".encode(), 1)))(*send(request))
        self.assertRaises(Unproven, client.call, "catalog.types")
        other = self.city.client().call("catalog.types").raw
        client._send = lambda request: (200, "application/json", other)
        with self.assertRaises(Unproven) as caught:
            client.call("catalog.types")
        self.assertIn("record-token", str(caught.exception))

    # ---- verification -------------------------------------------------------------------------------------------------------

    def flips(self, document, count, verify):
        """Positions at which one changed bit leaves a document proven, and co-signed by as many: a line that names another than a known
        witness is a stranger's, and says nothing."""
        random.seed(12)
        proven, witnessed = [], len(verify(document).witnessed)
        for at in random.sample(range(8 * len(document)), count):
            changed = bytearray(document)
            changed[at // 8] ^= 1 << at % 8
            got = verify(bytes(changed))
            if got.verdict not in (REFUTED, NOT_PROVEN) and len(got.witnessed) >= witnessed:
                proven.append(at)
        return proven

    def test_one_bit(self):
        """One bit changed anywhere in an answer, in its receipt, record, proofs or checkpoint: never proven."""
        self.assertEqual(verify_document(self.city.answer, self.city.trust, self.city.token).verdict, PROVEN)
        self.assertEqual(verify_document(self.city.answer, self.city.trust).verdict, PROVEN)
        self.assertEqual(self.flips(self.city.answer, 120, lambda changed: verify_document(changed, self.city.trust, self.city.token)), [])
        small = canonical.marshal(json.loads(self.city.answer)["receipt"])  # where every part has its share of the bits
        self.assertEqual(verify_document(small, self.city.trust).verdict, PROVEN)
        self.assertEqual(self.flips(small, 160, lambda changed: verify_document(changed, self.city.trust)), [])

    def test_every_part_counts(self):
        whole = json.loads(self.city.answer)
        note = whole["receipt"]["checkpoint"]
        for name, change in (
            ("another answer", lambda d: d["answer"].update(can_proceed=False)),
            ("another index", lambda d: d["receipt"].update(index=d["receipt"]["index"] - 1)),
            ("no SM3 proof", lambda d: d["receipt"]["proofs"].update(sm3=d["receipt"]["proofs"]["sm3"][:-1])),
            ("no SHA-256 proof", lambda d: d["receipt"]["proofs"].update(sha256=[])),
            ("no first line", lambda d: d["receipt"].update(checkpoint=re.sub("\n— [^\n]*\n", "\n", note, count=1))),
            ("no second line", lambda d: d["receipt"].update(checkpoint=re.sub("(\n— [^\n]*\n)— [^\n]*\n", "\\1", note, count=1))),
            ("no receipt", lambda d: d.pop("receipt")),
            ("a member more", lambda d: d.update(more=1)),
            ("a member of the receipt more", lambda d: d["receipt"].update(more=1)),
            ("a larger log", lambda d: d["receipt"].update(checkpoint=re.sub("\n([0-9]+)\n", lambda m: "\n%d\n" % (int(m.group(1)) + 1), note, count=1))),
        ):
            changed = json.loads(self.city.answer)
            change(changed)
            self.assertNotEqual(verify_document(canonical.marshal(changed), self.city.trust).verdict, PROVEN, name)
        pretty = json.dumps(whole, ensure_ascii=True, indent=1).encode()  # the same content, filed by somebody who formats
        self.assertEqual(verify_document(pretty, self.city.trust, self.city.token).verdict, PROVEN)
        for junk in (b"", b"{", b"[]", b"{}", b'{"receipt":{}}', b'{"answer":1,"answer":1,"receipt":{}}', b"\xff", b'{"answer":1.5,"receipt":{}}', b"[" * 100000):
            self.assertEqual(verify_document(junk, self.city.trust).verdict, REFUTED, junk[:20])

    def test_trust(self):
        log = next(iter(self.city.trust.logs.values()))
        stranger = log.keys[0]._replace(public=sm.marshal_point(sm.public_of(5)))
        for keys, verdict in (([stranger, log.keys[1]], REFUTED), ([log.keys[0]], PROVEN)):
            trust = self.city.trust._replace(logs={log.origin: log._replace(keys=keys)})
            self.assertEqual(verify_document(self.city.answer, trust).verdict, verdict)
        self.assertEqual(verify_document(self.city.answer, self.city.trust._replace(logs={"other": log})).verdict, NOT_PROVEN)
        self.assertEqual(verify_document(self.city.answer, self.city.trust._replace(required_beyond=["in_force"])).verdict, NOT_PROVEN)
        self.assertRaises(TrustFault, load_trust, str(self.city.dir))

    def test_witnesses(self):
        seed = b"\x07" * 32
        public, cosign = ed25519(seed)
        name, text = "witness.example/w", receipt.parse_checkpoint(json.loads(self.city.answer)["receipt"]["checkpoint"]).text
        key_id = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
        at = (1764547200).to_bytes(8, "big")
        line = "— %s %s\n" % (name, base64.b64encode(key_id + at + cosign(b"cosignature/v1\ntime 1764547200\n" + text)).decode())
        whole = json.loads(self.city.answer)
        whole["receipt"]["checkpoint"] += line
        folder = self.city.dir / "trust-with-witness"
        shutil.copytree(str(self.city.trust_dir), str(folder))
        said = json.loads((folder / "trust.json").read_text(encoding="utf-8"))
        said["witnesses"] = ["%s+%s+%s" % (name, key_id.hex(), base64.b64encode(b"\x04" + public).decode())]
        said["require"] = {"witnesses": 1}
        (folder / "trust.json").write_text(json.dumps(said), encoding="utf-8")
        trust = load_trust(str(folder))
        got = verify_document(canonical.marshal(whole), trust)
        self.assertEqual((got.verdict, got.witnessed), (PROVEN, [name]), got.steps)
        self.assertEqual(verify_document(self.city.answer, trust).verdict, NOT_PROVEN)  # required, and not there
        whole["receipt"]["checkpoint"] = whole["receipt"]["checkpoint"].replace(line, line[:-10] + ("A" if line[-10] != "A" else "B") + line[-9:])
        self.assertEqual(verify_document(canonical.marshal(whole), trust).verdict, REFUTED)

    def test_checkpoint(self):
        note = (self.city.dir / "artefacts" / "checkpoint").read_bytes()
        self.assertEqual(verify_checkpoint(note, self.city.trust).verdict, PROVEN)
        self.assertEqual(len(verify_checkpoint(note, self.city.trust).witnessed), 2)  # the demo's
        self.assertEqual(self.flips(note, 60, lambda changed: verify_checkpoint(changed, self.city.trust)), [])

    # ---- the command --------------------------------------------------------------------------------------------------------

    def command(self, *args, **more):
        return subprocess.run((sys.executable, "-m", "oncegate_client") + args, cwd=str(pathlib.Path(__file__).resolve().parents[1]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def test_command(self):
        call = ("call", "--url", self.city.url, "--gateway", "yunchuan-gateway", "--system", "food-approval", "--key", str(self.city.key), "--trust", str(self.city.trust_dir))
        made = self.command(*call, "cases.check", "no=" + self.city.case, "-d", "{}")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn(b"receipt verified: entry", made.stderr)
        refused = self.command(*call, "licenses.query", "-d", "-", input=json.dumps(self.city.question(purpose={"case": "SP-2026-999999"})).encode())
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"case-not-usable", refused.stderr)
        trust = ("--trust", str(self.city.trust_dir))
        for data, code in ((made.stdout, 0), (refused.stdout, 0), (made.stdout.replace(b'"can_proceed":', b'"can_proceeb":'), 1)):
            verified = self.command("verify", *trust, "-", input=data)
            self.assertEqual(verified.returncode, code, verified.stdout)
        self.assertEqual(self.command("verify", *trust, "--token", str(self.city.dir / "artefacts" / "request.jwt"), str(self.city.dir / "artefacts" / "answer.json"), str(self.city.dir / "artefacts" / "checkpoint")).returncode, 0)
        for wrong in (("verify", "--trust", "nowhere", "-"), ("verify", "-"), ("call", "catalog.types"), ()):
            self.assertEqual(self.command(*wrong, input=b"").returncode, 2, wrong)


def ed25519(seed):
    """The public key of a seed, and a function that signs (RFC 8032), for a witness of the tests."""
    half = hashlib.sha512(seed).digest()
    a = int.from_bytes(half[:32], "little") & ((1 << 254) - 8) | 1 << 254

    def times_base(k):
        x, y, z, _ = sm._ed_multiply(k, sm._ED_BASE, 0, (0, 1, 1, 0))
        inverse = pow(z, -1, sm._Q)
        return (y * inverse % sm._Q | (x * inverse % sm._Q & 1) << 255).to_bytes(32, "little")

    def number(data):
        return int.from_bytes(hashlib.sha512(data).digest(), "little") % sm._L

    public = times_base(a)

    def sign(message):
        r = number(half[32:] + message)
        big_r = times_base(r)
        return big_r + ((r + number(big_r + public + message) * a) % sm._L).to_bytes(32, "little")

    return public, sign


if __name__ == "__main__":
    unittest.main()
