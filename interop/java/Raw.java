import java.math.BigInteger;
import java.security.SecureRandom;
import java.util.Map;

import org.bouncycastle.asn1.gm.GMNamedCurves;
import org.bouncycastle.asn1.x9.X9ECParameters;
import org.bouncycastle.crypto.digests.SM3Digest;
import org.bouncycastle.crypto.engines.SM4Engine;
import org.bouncycastle.crypto.macs.HMac;
import org.bouncycastle.crypto.modes.CBCBlockCipher;
import org.bouncycastle.crypto.modes.GCMBlockCipher;
import org.bouncycastle.crypto.paddings.PaddedBufferedBlockCipher;
import org.bouncycastle.crypto.params.AEADParameters;
import org.bouncycastle.crypto.params.ECDomainParameters;
import org.bouncycastle.crypto.params.ECPrivateKeyParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.KeyParameter;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.params.ParametersWithIV;
import org.bouncycastle.crypto.params.ParametersWithRandom;
import org.bouncycastle.crypto.signers.DSAEncoding;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.SM2Signer;
import org.bouncycastle.crypto.signers.StandardDSAEncoding;

/** SM2, SM3 and SM4 by themselves. A private key is its 32 bytes, a public one its point. */
final class Raw {
    static final byte[] USER = Main.text("1234567812345678");
    private static final X9ECParameters X9 = GMNamedCurves.getByName("sm2p256v1");
    static final ECDomainParameters CURVE = new ECDomainParameters(X9.getCurve(), X9.getG(), X9.getN(), X9.getH());

    static void register(Map<String, Main.Command> commands) {
        commands.put("point", a -> Main.out(CURVE.getG().multiply(new BigInteger(1, a.bytes())).getEncoded(false)));
        commands.put("sm2.sign", a -> Main.out(sign(a.bytes(), a.bytes(), a.bytes(), encoding(a.text()))));
        commands.put("sm2.verify", a -> Main.demand(
            verify(a.bytes(), a.bytes(), a.bytes(), a.bytes(), encoding(a.text())), "the signature does not hold"));
        commands.put("sm3", a -> Main.out(sm3(a.bytes())));
        commands.put("hmac", a -> Main.out(hmac(a.bytes(), a.bytes())));
        commands.put("gcm.seal", a -> Main.out(gcm(true, a.bytes(), a.bytes(), a.bytes(), a.bytes())));
        commands.put("gcm.open", a -> Main.out(gcm(false, a.bytes(), a.bytes(), a.bytes(), a.bytes())));
        commands.put("cbc.seal", a -> Main.out(cbc(true, a.bytes(), a.bytes(), a.bytes())));
        commands.put("cbc.open", a -> Main.out(cbc(false, a.bytes(), a.bytes(), a.bytes())));
    }

    static DSAEncoding encoding(String name) {
        return name.equals("raw") ? PlainDSAEncoding.INSTANCE : StandardDSAEncoding.INSTANCE;
    }

    static byte[] sign(byte[] d, byte[] user, byte[] message, DSAEncoding encoding) throws Exception {
        SM2Signer s = new SM2Signer(encoding);
        ECPrivateKeyParameters key = new ECPrivateKeyParameters(new BigInteger(1, d), CURVE);
        s.init(true, new ParametersWithID(new ParametersWithRandom(key, new SecureRandom()), user));
        s.update(message, 0, message.length);
        return s.generateSignature();
    }

    static boolean verify(byte[] point, byte[] user, byte[] message, byte[] signature, DSAEncoding encoding) {
        SM2Signer s = new SM2Signer(encoding);
        s.init(false, new ParametersWithID(new ECPublicKeyParameters(CURVE.getCurve().decodePoint(point), CURVE), user));
        s.update(message, 0, message.length);
        return s.verifySignature(signature);
    }

    static byte[] sm3(byte[]... parts) {
        SM3Digest h = new SM3Digest();
        for (byte[] part : parts) h.update(part, 0, part.length);
        byte[] digest = new byte[32];
        h.doFinal(digest, 0);
        return digest;
    }

    static byte[] hmac(byte[] key, byte[] data) {
        HMac h = new HMac(new SM3Digest());
        h.init(new KeyParameter(key));
        h.update(data, 0, data.length);
        byte[] mac = new byte[32];
        h.doFinal(mac, 0);
        return mac;
    }

    private static byte[] gcm(boolean seal, byte[] key, byte[] nonce, byte[] aad, byte[] data) throws Exception {
        GCMBlockCipher c = new GCMBlockCipher(new SM4Engine());
        c.init(seal, new AEADParameters(new KeyParameter(key), 128, nonce, aad));
        byte[] result = new byte[c.getOutputSize(data.length)];
        c.doFinal(result, c.processBytes(data, 0, data.length, result, 0));
        return result;
    }

    private static byte[] cbc(boolean seal, byte[] key, byte[] iv, byte[] data) throws Exception {
        PaddedBufferedBlockCipher c = new PaddedBufferedBlockCipher(new CBCBlockCipher(new SM4Engine()));
        c.init(seal, new ParametersWithIV(new KeyParameter(key), iv));
        byte[] result = new byte[c.getOutputSize(data.length)];
        int n = c.processBytes(data, 0, data.length, result, 0);
        return java.util.Arrays.copyOf(result, n + c.doFinal(result, n));
    }
}
