"""SM3, SM2 and Ed25519 against published vectors, and against those of this repository (certs/testdata/sm2-negative)."""

import ast
import base64
import json
import pathlib
import unittest

from oncegate_client import sm

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[3]  # of the repository
D = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8  # the sample key of GB/T 32918.5
OPENSSL_KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqBHM9VAYItBG0wawIBAQQg0JFWczAXva2An9m7\n2MaT9gIwWTFptvlKrxyO4TjMmbWhRANCAAQ5OirZ4n5DrKqrhaGdO4VZHhRAYVcX\nWt3Te/d/8Mr57Tf886i09VwDhSMmH8pmNq/mp6+ioUgqYG9cs6GLLioe\n-----END PRIVATE KEY-----\n"  # published in OpenSSL's tests


class SM3(unittest.TestCase):
    def test_published(self):  # GB/T 32905, A.1 and A.2
        for message, digest in ((b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"), (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732")):
            self.assertEqual(sm._sm3_python(message).hex(), digest)
            self.assertEqual(sm.sm3(message).hex(), digest)

    def test_lengths(self):
        for n in range(200):
            self.assertEqual(sm._sm3_python(b"x" * n), sm.sm3(b"x" * n), n)

    def test_hmac(self):  # Wycheproof
        tests = json.loads((ROOT / "certs/sm/testdata/hmac_sm3.json").read_text())["tests"]
        for t in tests:
            tag = sm.hmac_sm3(bytes.fromhex(t["key"]), bytes.fromhex(t["msg"]))[: len(t["tag"]) // 2]
            self.assertEqual(tag.hex() == t["tag"], t["valid"], t["id"])
        self.assertGreater(len(tests), 50)


class SM2(unittest.TestCase):
    def test_vectors(self):
        """Every vector whose signature is r‖s under the default user id, those with another key, message or length too."""
        tried = {True: 0, False: 0}
        for path in sorted((ROOT / "certs/testdata/sm2-negative").glob("*.json")):
            for group in json.loads(path.read_text())["testGroups"]:
                for test in group["tests"]:
                    key, user, message, signature = (bytes.fromhex(test.get(n, group.get(n))) for n in ("publicKey", "userId", "msg", "sig"))
                    if test["encoding"] != "raw" or user != sm.USER_ID:
                        continue
                    try:
                        accepted = sm.verify(sm.parse_point(key), message, signature)
                    except sm.KeyFault:
                        accepted = False
                    self.assertEqual(accepted, test["result"] == "valid", (path.name, test["tcId"], test["comment"]))
                    tried[accepted] += 1
        self.assertGreater(tried[False], 200)
        self.assertGreater(tried[True], 5)

    def test_openssl(self):
        """OpenSSL's cases sign the digest e itself, without Z: the numbers must fit all the same."""
        data = json.loads((ROOT / "certs/sm/testdata/sm2_verify.json").read_text())
        public = sm.public_of(sm.read_private_key(OPENSSL_KEY))
        for case in data["verify"]:
            der, e = bytes.fromhex(case["signature_der"]), int(case["e"], 16)
            r, s = (int.from_bytes(v.content, "big") for v in sm._values(sm._values(der)[0].content))
            point = sm._affine(sm._multiply_public(s, (r + s) % sm.N, public))
            self.assertEqual((e + point[0]) % sm.N == r, case["valid"])

    def test_example_of_the_document(self):
        """docs/api.md, section 2: the deterministic signature over the token of its example, digit by digit."""
        lines = (ROOT / "docs/api.md").read_text(encoding="utf-8").split("<!-- table example -->")[1].split("<!-- end example -->")[0].splitlines()
        after = {line.split(" ")[0] + " " + line.split(" ")[1]: lines[i + 1].strip() for i, line in enumerate(lines[:-1]) if not line.startswith(" ") and " " in line}
        signed = sm.sign(D, after["signing input"].encode("ascii"), b"")
        self.assertEqual(base64.urlsafe_b64encode(signed).rstrip(b"=").decode(), after["signature r‖s"])
        self.assertEqual(sm.marshal_point(sm.public_of(D)).hex(), after["public key"])

    def test_sign(self):
        public = sm.public_of(D)
        first, second = sm.sign(D, b"message"), sm.sign(D, b"message")
        self.assertNotEqual(first, second)
        self.assertTrue(sm.verify(public, b"message", first) and sm.verify(public, b"message", second))
        self.assertFalse(sm.verify(public, b"massage", first))
        for bad in (0, sm.N - 1, sm.N, -1):
            self.assertRaises(ValueError, sm.public_of, bad)

    def test_keys_in_files(self):
        pkcs8 = OPENSSL_KEY
        d = sm.read_private_key(pkcs8)
        self.assertEqual(sm.marshal_point(sm.public_of(d)).hex()[2:10], "393a2ad9")
        for text in ("", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", pkcs8.replace("MIGHAgEAMBMG", "MIGHAgEAMBMF"), pkcs8.replace("PRIVATE", "ENCRYPTED PRIVATE"), pkcs8.replace("MIGH", "!")):
            with self.assertRaises(sm.KeyFault) as caught:
                sm.read_private_key(text)
            self.assertNotIn("0JFWczAXva2A", str(caught.exception))


class Ed25519(unittest.TestCase):
    def test_published(self):  # RFC 8032, 7.1, tests 1 to 3
        for public, message, signature in (
            ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
            ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
            ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
        ):
            key, text, value = (bytes.fromhex(x) for x in (public, message, signature))
            self.assertTrue(sm.verify_ed25519(key, text, value))
            self.assertFalse(sm.verify_ed25519(key, text + b"x", value))
            self.assertFalse(sm.verify_ed25519(key, text, value[:32] + (int.from_bytes(value[32:], "little") + sm._L).to_bytes(32, "little")))
            for i in range(0, 64, 7):
                self.assertFalse(sm.verify_ed25519(key, text, value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :]))


class OldPython(unittest.TestCase):
    def test_syntax(self):
        """Servers have Python 3.8."""
        for path in HERE.parents[1].rglob("*.py"):
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 8))


if __name__ == "__main__":
    unittest.main()
