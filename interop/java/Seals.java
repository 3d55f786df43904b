import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Date;
import java.util.Map;

import org.bouncycastle.asn1.ASN1BitString;
import org.bouncycastle.asn1.ASN1Encodable;
import org.bouncycastle.asn1.ASN1GeneralizedTime;
import org.bouncycastle.asn1.ASN1IA5String;
import org.bouncycastle.asn1.ASN1Integer;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.ASN1Sequence;
import org.bouncycastle.asn1.DERBitString;
import org.bouncycastle.asn1.DERGeneralizedTime;
import org.bouncycastle.asn1.DERIA5String;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.DERUTF8String;
import org.bouncycastle.crypto.signers.StandardDSAEncoding;

/**
 * Electronic seals, GB/T 38540-2020, by hand. A seal (SESeal) and a seal's signature (SES_Signature) have one shape: what is
 * signed, certificate, algorithm, signature.
 */
final class Seals {
    private static final ASN1ObjectIdentifier SM2_WITH_SM3 = new ASN1ObjectIdentifier("1.2.156.10197.1.501");

    static void register(Map<String, Main.Command> commands) {
        commands.put("seal.verify", a -> {
            check(ASN1Sequence.getInstance(a.bytes()));
            return Main.out();
        });
        commands.put("sealed.verify", a -> {
            sealed(a.bytes(), a.bytes(), a.text());
            return Main.out();
        });
        commands.put("seal.make", a -> {
            Date at = a.time();
            byte[] by = a.bytes(), maker = a.bytes(), signer = a.bytes(), picture = a.bytes();
            Date to = new Date(at.getTime() + 86400_000L * 300);
            DERSequence info = sequence(
                sequence(new DERIA5String("ES"), new ASN1Integer(4), new DERIA5String("bouncycastle")),
                new DERIA5String("BC-1"),
                sequence(new ASN1Integer(1), new DERUTF8String("示例局证照专用章"), new ASN1Integer(1), sequence(new DEROctetString(signer)),
                    new DERGeneralizedTime(at), new DERGeneralizedTime(at), new DERGeneralizedTime(to)),
                sequence(new DERIA5String("png"), new DEROctetString(picture), new ASN1Integer(40), new ASN1Integer(40)));
            return Main.out(sign(info, maker, by).getEncoded("DER"));
        });
        commands.put("sealed.make", a -> {
            Date at = a.time();
            byte[] by = a.bytes(), certificate = a.bytes(), seal = a.bytes(), xml = a.bytes();
            return Main.out(seal(at, by, certificate, seal, xml, a.text()));
        });
    }

    static byte[] seal(Date at, byte[] by, byte[] certificate, byte[] seal, byte[] xml, String path) throws Exception {
        DERSequence toSign = sequence(new ASN1Integer(4), ASN1Sequence.getInstance(seal), new DERGeneralizedTime(at),
            new DERBitString(Raw.sm3(xml)), new DERIA5String(path));
        return sign(toSign, certificate, by).getEncoded("DER");
    }

    /** Demands that a signature is of this Signature.xml, by somebody whom its seal lists, with a seal that its maker made. */
    static void sealed(byte[] value, byte[] xml, String path) throws Exception {
        ASN1Sequence outer = ASN1Sequence.getInstance(value);
        check(outer);
        ASN1Sequence toSign = ASN1Sequence.getInstance(outer.getObjectAt(0));
        Main.demand(Arrays.equals(ASN1BitString.getInstance(toSign.getObjectAt(3)).getOctets(), Raw.sm3(xml)), "another Signature.xml");
        Main.demand(ASN1IA5String.getInstance(toSign.getObjectAt(4)).getString().equals(path), "another path");
        ASN1Sequence seal = ASN1Sequence.getInstance(toSign.getObjectAt(1));
        check(seal);
        ASN1Sequence property = ASN1Sequence.getInstance(ASN1Sequence.getInstance(seal.getObjectAt(0)).getObjectAt(2));
        byte[] certificate = ASN1OctetString.getInstance(outer.getObjectAt(1)).getOctets();
        boolean listed = false;
        for (ASN1Encodable one : ASN1Sequence.getInstance(property.getObjectAt(3))) {
            listed |= Arrays.equals(ASN1OctetString.getInstance(one).getOctets(), certificate);
        }
        Main.demand(listed, "the signer is not on the seal's list");
        Date at = ASN1GeneralizedTime.getInstance(toSign.getObjectAt(2)).getDate();
        Main.demand(!at.before(ASN1GeneralizedTime.getInstance(property.getObjectAt(5)).getDate())
            && !at.after(ASN1GeneralizedTime.getInstance(property.getObjectAt(6)).getDate()), "outside the seal's period");
    }

    private static void check(ASN1Sequence s) throws Exception {
        X509Certificate by = Certificates.certificate(ASN1OctetString.getInstance(s.getObjectAt(1)).getOctets());
        Main.demand(s.getObjectAt(2).equals(SM2_WITH_SM3), "another algorithm");
        Main.demand(Raw.verify(Certificates.point(by.getPublicKey()), Raw.USER, s.getObjectAt(0).toASN1Primitive().getEncoded("DER"),
            ASN1BitString.getInstance(s.getObjectAt(3)).getOctets(), StandardDSAEncoding.INSTANCE), "the signature does not hold");
    }

    private static DERSequence sign(DERSequence what, byte[] certificate, byte[] by) throws Exception {
        byte[] signature = Raw.sign(by, Raw.USER, what.getEncoded("DER"), StandardDSAEncoding.INSTANCE);
        return sequence(what, new DEROctetString(certificate), SM2_WITH_SM3, new DERBitString(signature));
    }

    private static DERSequence sequence(ASN1Encodable... members) {
        return new DERSequence(members);
    }
}
