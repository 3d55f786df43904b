"""SM3 digests (GB/T 32905) and SM2 signatures (GB/T 32918.2) on the recommended curve (GB/T 32918.5), and Ed25519 verification (RFC 8032).

This is arithmetic on Python's integers, so it is **not constant-time**: whoever can measure a signature's duration on the machine that signs
may learn something of the key. Sign on a machine that runs nobody else's programs, or give Client a signer of your own that asks a device.
Verifying uses no secret. Nonces follow from key, message and fresh randomness together (RFC 6979, section 3.6): neither a weak source of
randomness nor a repeated message reveals the key.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Callable, List, NamedTuple, Optional, Tuple

USER_ID = b"1234567812345678"
"""The user id (用户标识) in every SM2 signature of a gateway."""

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Point = Tuple[int, int]


class KeyFault(ValueError):
    """A key cannot be read. The message quotes nothing of it."""


# ---- SM3 ---------------------------------------------------------------------------------------------------------------

_MASK = 0xFFFFFFFF
_IV = (0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E)


def _rotate(x: int, n: int) -> int:
    n %= 32
    return ((x << n) | (x >> (32 - n))) & _MASK


_T = [_rotate(0x79CC4519 if j < 16 else 0x7A879D8A, j) for j in range(64)]


def _sm3_block(v: Tuple[int, ...], block: bytes) -> Tuple[int, ...]:
    w = [int.from_bytes(block[i : i + 4], "big") for i in range(0, 64, 4)]
    for j in range(16, 68):
        x = w[j - 16] ^ w[j - 9] ^ _rotate(w[j - 3], 15)
        w.append(x ^ _rotate(x, 15) ^ _rotate(x, 23) ^ _rotate(w[j - 13], 7) ^ w[j - 6])
    a, b, c, d, e, f, g, h = v
    for j in range(64):
        a12 = _rotate(a, 12)
        ss1 = _rotate((a12 + e + _T[j]) & _MASK, 7)
        if j < 16:
            ff, gg = a ^ b ^ c, e ^ f ^ g
        else:
            ff, gg = (a & b) | (a & c) | (b & c), (e & f) | (~e & _MASK & g)
        tt1 = (ff + d + (ss1 ^ a12) + (w[j] ^ w[j + 4])) & _MASK
        tt2 = (gg + h + ss1 + w[j]) & _MASK
        a, b, c, d = tt1, a, _rotate(b, 9), c
        e, f, g, h = tt2 ^ _rotate(tt2, 9) ^ _rotate(tt2, 17), e, _rotate(f, 19), g
    return tuple(x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h)))


def _sm3_python(data: bytes) -> bytes:
    padded = data + b"\x80" + b"\x00" * ((55 - len(data)) % 64) + (8 * len(data)).to_bytes(8, "big")
    v = _IV
    for i in range(0, len(padded), 64):
        v = _sm3_block(v, padded[i : i + 64])
    return b"".join(x.to_bytes(4, "big") for x in v)


def _sm3_openssl(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def _choose_sm3() -> Callable[[bytes], bytes]:
    """OpenSSL's SM3 where Python's has it, a hundred times as fast as ours."""
    try:
        if _sm3_openssl(b"abc") == _sm3_python(b"abc"):
            return _sm3_openssl
    except ValueError:
        pass
    return _sm3_python


sm3 = _choose_sm3()
"""sm3(data) is the SM3 digest of bytes: 32 bytes."""


def hmac_sm3(key: bytes, data: bytes) -> bytes:
    """HMAC (RFC 2104) with SM3."""
    if len(key) > 64:
        key = sm3(key)
    key = key.ljust(64, b"\x00")
    return sm3(bytes(x ^ 0x5C for x in key) + sm3(bytes(x ^ 0x36 for x in key) + data))


# ---- the curve, in Jacobian coordinates: (x, y, z) stands for (x/z², y/z³); z = 0 is infinity -----------------------------

_Jacobian = Tuple[int, int, int]
_INFINITY: _Jacobian = (1, 1, 0)


def _double(p: _Jacobian) -> _Jacobian:
    x, y, z = p
    if z == 0 or y == 0:
        return _INFINITY
    zz, yy = z * z % P, y * y % P
    m = 3 * (x - zz) * (x + zz) % P
    s = 4 * x * yy % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(p: _Jacobian, q: _Jacobian) -> _Jacobian:
    if p[2] == 0:
        return q
    if q[2] == 0:
        return p
    x1, y1, z1 = p
    x2, y2, z2 = q
    zz1, zz2 = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * zz2 % P, x2 * zz1 % P
    s1, s2 = y1 * zz2 * z2 % P, y2 * zz1 * z1 % P
    if u1 == u2:
        return _double(p) if s1 == s2 else _INFINITY
    h, r = (u2 - u1) % P, (s2 - s1) % P
    hh = h * h % P
    hhh, v = h * hh % P, u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, h * z1 * z2 % P


def _multiply(k: int, p: Point) -> _Jacobian:
    """k·p by a Montgomery ladder: the same operations for every k, though not in the same time (see above)."""
    r0, r1 = _INFINITY, (p[0], p[1], 1)
    for i in range(255, -1, -1):
        if k >> i & 1:
            r0, r1 = _add(r0, r1), _double(r1)
        else:
            r0, r1 = _double(r0), _add(r0, r1)
    return r0


def _multiply_public(s: int, t: int, q: Point) -> _Jacobian:
    """s·G + t·q at once (Shamir's trick), for numbers that are no secret."""
    g, other = (G[0], G[1], 1), (q[0], q[1], 1)
    table = (_INFINITY, g, other, _add(g, other))
    out = _INFINITY
    for i in range(255, -1, -1):
        out = _double(out)
        bits = (s >> i & 1) | (t >> i & 1) << 1
        if bits:
            out = _add(out, table[bits])
    return out


def _affine(p: _Jacobian) -> Optional[Point]:
    if p[2] == 0:
        return None
    inverse = pow(p[2], -1, P)
    return p[0] * inverse * inverse % P, p[1] * inverse * inverse * inverse % P


def parse_point(data: bytes) -> Point:
    """Reads 04‖x‖y, the one encoding of a public key here. KeyFault if it is no point of the curve."""
    if len(data) != 65 or data[0] != 4:
        raise KeyFault("an SM2 public key is 04, x and y: 65 bytes")
    x, y = int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")
    if x >= P or y >= P or (y * y - (x * x * x + A * x + B)) % P:
        raise KeyFault("the public key is not on the curve")
    return x, y


def marshal_point(p: Point) -> bytes:
    """04‖x‖y."""
    return b"\x04" + p[0].to_bytes(32, "big") + p[1].to_bytes(32, "big")


def public_of(d: int) -> Point:
    """The public key of a private one."""
    point = _affine(_multiply(d, G))
    if not 1 <= d <= N - 2 or point is None:
        raise KeyFault("the private key is out of range")
    return point


def _digest(public: Point, message: bytes) -> int:
    """e = SM3(Z ‖ message)."""
    parts = [(8 * len(USER_ID)).to_bytes(2, "big"), USER_ID]
    parts += [x.to_bytes(32, "big") for x in (A, B, G[0], G[1], public[0], public[1])]
    return int.from_bytes(sm3(sm3(b"".join(parts)) + message), "big")


def _nonces(d: int, e: int, fresh: bytes):
    """Nonces of RFC 6979 with HMAC-SM3; fresh is the additional data of its section 3.6."""
    seed = d.to_bytes(32, "big") + (e % N).to_bytes(32, "big") + fresh
    k, v = b"\x00" * 32, b"\x01" * 32
    for tag in (b"\x00", b"\x01"):
        k = hmac_sm3(k, v + tag + seed)
        v = hmac_sm3(k, v)
    while True:
        v = hmac_sm3(k, v)
        candidate = int.from_bytes(v, "big")
        if 1 <= candidate < N:
            yield candidate
        k = hmac_sm3(k, v + b"\x00")
        v = hmac_sm3(k, v)


def sign(d: int, message: bytes, fresh: Optional[bytes] = None) -> bytes:
    """The signature r‖s (64 bytes) over a message. fresh is randomness for the nonce, 32 new bytes by default; b"" makes it deterministic."""
    public = public_of(d)
    e = _digest(public, message)
    for k in _nonces(d, e, secrets.token_bytes(32) if fresh is None else fresh):
        point = _affine(_multiply(k, G))
        r = (e + point[0]) % N if point else 0
        if r == 0 or r + k == N:
            continue
        s = pow(1 + d, -1, N) * (k - r * d) % N
        if s:
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            if not verify(public, message, signature):  # a fault in the machine must not leave as a signature: it could reveal the key
                raise ArithmeticError("the signature does not verify")
            return signature
    raise ArithmeticError("no nonce")  # never: the nonces do not end


def verify(public: Point, message: bytes, signature: bytes) -> bool:
    """Whether r‖s (64 bytes, no other encoding) is a signature of the key over the message."""
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % N
    if not (1 <= r < N and 1 <= s < N) or t == 0:
        return False
    point = _affine(_multiply_public(s, t, public))
    return point is not None and (_digest(public, message) + point[0]) % N == r


# ---- keys in files -----------------------------------------------------------------------------------------------------

_OID_EC = bytes.fromhex("2a8648ce3d0201")
_OID_SM2 = bytes.fromhex("2a811ccf5501822d")
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")


class _Value(NamedTuple):
    tag: int
    content: bytes


def _values(der: bytes) -> List[_Value]:
    """The DER values of a content, one after another."""
    out = []
    while der:
        if len(der) < 2:
            raise KeyFault("the key is not DER")
        length, head = der[1], 2
        if length >= 0x80:
            head += length & 0x7F
            if not 0x81 <= length <= 0x82 or len(der) < head:
                raise KeyFault("the key is not DER")
            length = int.from_bytes(der[2:head], "big")
        if len(der) < head + length:
            raise KeyFault("the key is cut off")
        out.append(_Value(der[0], der[head : head + length]))
        der = der[head + length :]
    return out


def _pem(text: str) -> List[Tuple[str, bytes]]:
    blocks, name, lines = [], "", []  # type: List[Tuple[str, bytes]], str, List[str]
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("-----BEGIN ") and line.endswith("-----") and not name:
            name, lines = line[11:-5], []
        elif name and line == "-----END " + name + "-----":
            try:
                blocks.append((name, base64.b64decode("".join(lines), validate=True)))
            except ValueError:
                raise KeyFault("a PEM block is not base64") from None
            name = ""
        elif name:
            lines.append(line)
    return blocks


def read_private_key(text: str) -> int:
    """Reads a private key as `oncegate keys new` and OpenSSL write it: PEM, PKCS#8 or SEC 1, not encrypted."""
    for name, der in _pem(text):
        if name == "EC PARAMETERS":
            continue
        if name not in ("PRIVATE KEY", "EC PRIVATE KEY"):
            raise KeyFault("the PEM block is %r, not an unencrypted private key" % name[:40])
        outer = _values(der)
        inner = _values(outer[0].content) if len(outer) == 1 and outer[0].tag == 0x30 else []
        if name == "PRIVATE KEY":
            if len(inner) < 3 or inner[1].tag != 0x30 or inner[2].tag != 0x04:
                raise KeyFault("not a PKCS#8 private key")
            if _values(inner[1].content) != [_Value(0x06, _OID_EC), _Value(0x06, _OID_SM2)]:
                raise KeyFault("the private key is not on the SM2 curve")
            inner = _values(_values(inner[2].content)[0].content)
        elif not any(v.tag == 0xA0 and v.content == b"\x06\x08" + _OID_SM2 for v in inner):
            raise KeyFault("the private key is not on the SM2 curve")
        if len(inner) < 2 or inner[1].tag != 0x04 or len(inner[1].content) != 32:
            raise KeyFault("not an SM2 private key")
        d = int.from_bytes(inner[1].content, "big")
        public_of(d)
        return d
    raise KeyFault("there is no private key in PEM")


def read_public_key(text: str) -> Point:
    """Reads a public key: PEM of a SubjectPublicKeyInfo."""
    blocks = _pem(text)
    if len(blocks) != 1 or blocks[0][0] != "PUBLIC KEY":
        raise KeyFault("there is no public key in PEM")
    der = blocks[0][1]
    if not der.startswith(_SPKI):
        raise KeyFault("the public key is not on the SM2 curve")
    return parse_point(der[len(_SPKI) :])


# ---- Ed25519: the line of a checkpoint that public log tools read, and those of witnesses ----------------------------------

_Q = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _Q) % _Q
_I = pow(2, (_Q - 1) // 4, _Q)
_Extended = Tuple[int, int, int, int]


def _ed_decode(data: bytes) -> Optional[_Extended]:
    y = int.from_bytes(data, "little")
    sign_bit, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _Q:
        return None
    x2 = (y * y - 1) * pow(_D * y * y + 1, -1, _Q) % _Q
    x = pow(x2, (_Q + 3) // 8, _Q)
    if (x * x - x2) % _Q:
        x = x * _I % _Q
    if (x * x - x2) % _Q or (x == 0 and sign_bit):
        return None
    if x & 1 != sign_bit:
        x = _Q - x
    return x, y, 1, x * y % _Q


def _ed_add(p: _Extended, q: _Extended) -> _Extended:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _Q, (p[1] + p[0]) * (q[1] + q[0]) % _Q
    c, d = 2 * p[3] * q[3] * _D % _Q, 2 * p[2] * q[2] % _Q
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _Q, g * h % _Q, f * g % _Q, e * h % _Q


def _ed_multiply(s: int, p: _Extended, h: int, q: _Extended) -> _Extended:
    """s·p + h·q at once, for numbers that are no secret."""
    out = (0, 1, 1, 0)  # type: _Extended
    table = (out, p, q, _ed_add(p, q))
    for i in range(255, -1, -1):
        out = _ed_add(out, out)
        bits = (s >> i & 1) | (h >> i & 1) << 1
        if bits:
            out = _ed_add(out, table[bits])
    return out


_ED_BASE = _ed_decode(bytes.fromhex("58" + "66" * 31))


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature of 64 bytes is that of the Ed25519 key of 32 bytes."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, s = _ed_decode(public), int.from_bytes(signature[32:], "little")
    if key is None or s >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    negative = (_Q - key[0], key[1], 1, (_Q - key[0]) * key[1] % _Q)
    x, y, z, _ = _ed_multiply(s, _ED_BASE, h, negative)
    inverse = pow(z, -1, _Q)
    x, y = x * inverse % _Q, y * inverse % _Q
    return hmac.compare_digest((y | (x & 1) << 255).to_bytes(32, "little"), signature[:32])
