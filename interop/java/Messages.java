import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.gm.GMNamedCurves;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.DefaultCMSSignatureAlgorithmNameGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationVerifier;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.StandardDSAEncoding;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.DefaultSignatureAlgorithmIdentifierFinder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** Signed messages: RFC 5652, and GB/T 35275, which is the same with other object identifiers. */
final class Messages {
    private static final String GM = "1.2.156.10197.6.1.4.2", SM2_SIGN = "1.2.156.10197.1.301.1", PKCS7_DATA = "1.2.840.113549.1.7.1";

    static void register(Map<String, Main.Command> commands) {
        commands.put("cms.verify", a -> {
            byte[] message = a.bytes(), content = a.bytes();
            Date at = a.time();
            X509Certificate root = Certificates.certificate(a.bytes());
            CMSSignedData signed = new CMSSignedData(message);
            if (signed.isDetachedSignature()) signed = new CMSSignedData(new CMSProcessableByteArray(type(signed), content), message);
            Main.demand(java.util.Arrays.equals((byte[]) signed.getSignedContent().getContent(), content), "another content");
            Main.demand(signed.getSignerInfos().size() == 1, "not one signer");
            for (SignerInformation s : signed.getSignerInfos()) {
                X509CertificateHolder by = (X509CertificateHolder) signed.getCertificates().getMatches(s.getSID()).iterator().next();
                Certificates.path(at, root, chain(by, signed));
                Main.demand(s.verify(verifier(by)), "the signature does not hold");
            }
            return Main.out();
        });
        commands.put("cms.make", a -> {
            boolean gm = a.flag("gm");
            return make(a, gm, gm ? GM + ".1" : PKCS7_DATA, false);
        });
        // As software in use writes it: the content type of PKCS#7 in a message of GB/T 35275, and r‖s as the signature value.
        commands.put("cms.other", a -> make(a, true, PKCS7_DATA, true));
    }

    private static byte[][] make(Main.Args a, boolean gm, String data, boolean plain) throws Exception {
        boolean detached = a.flag("detached"), bare = a.flag("bare");
        byte[] content = a.bytes(), by = a.bytes();
        List<X509Certificate> chain = Certificates.certificates(a.rest());
        CMSSignedDataGenerator g = new CMSSignedDataGenerator();
        JcaSignerInfoGeneratorBuilder b = new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().setProvider("BC").build());
        ContentSigner signer = Certificates.signer(Certificates.key(by, chain.get(0)));
        g.addSignerInfoGenerator(b.setDirectSignature(bare).build(plain ? plain(signer) : signer, chain.get(0)));
        g.addCertificates(new JcaCertStore(chain));
        CMSSignedData signed = g.generate(new CMSProcessableByteArray(new ASN1ObjectIdentifier(data), content), !detached);
        ContentInfo outer = signed.toASN1Structure();
        if (gm) outer = new ContentInfo(new ASN1ObjectIdentifier(GM + ".2"), outer.getContent());
        return Main.out(outer.getEncoded("DER"));
    }

    /** Signs as another does, with r‖s as the value. */
    private static ContentSigner plain(ContentSigner other) {
        return new ContentSigner() {
            @Override
            public AlgorithmIdentifier getAlgorithmIdentifier() {
                return other.getAlgorithmIdentifier();
            }

            @Override
            public OutputStream getOutputStream() {
                return other.getOutputStream();
            }

            @Override
            public byte[] getSignature() {
                BigInteger n = GMNamedCurves.getByName("sm2p256v1").getN();
                try {
                    BigInteger[] rs = StandardDSAEncoding.INSTANCE.decode(n, other.getSignature());
                    return PlainDSAEncoding.INSTANCE.encode(n, rs[0], rs[1]);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        };
    }

    private static ASN1ObjectIdentifier type(CMSSignedData signed) {
        return new ASN1ObjectIdentifier(signed.getSignedContentTypeOID());
    }

    /** The path in a message from a certificate upwards. */
    static List<X509Certificate> chain(X509CertificateHolder leaf, CMSSignedData signed) throws Exception {
        List<X509Certificate> path = new ArrayList<>();
        JcaX509CertificateConverter converter = new JcaX509CertificateConverter().setProvider("BC");
        for (X509CertificateHolder next = leaf; next != null;) {
            path.add(converter.getCertificate(next));
            X509CertificateHolder below = next;
            next = null;
            for (X509CertificateHolder c : signed.getCertificates().getMatches(null)) {
                if (c.getSubject().equals(below.getIssuer()) && !c.equals(below)) next = c;
            }
        }
        return path;
    }

    /**
     * Verifies under a certificate. Bouncy Castle has no name for the pair SM3 and 1.2.156.10197.1.301.1, which GB/T 35275 writes
     * for the signature algorithm; it is SM3WITHSM2.
     */
    static SignerInformationVerifier verifier(X509CertificateHolder by) throws Exception {
        DefaultCMSSignatureAlgorithmNameGenerator names = new DefaultCMSSignatureAlgorithmNameGenerator() {
            @Override
            public String getSignatureName(AlgorithmIdentifier digest, AlgorithmIdentifier signature) {
                return signature.getAlgorithm().getId().equals(SM2_SIGN) ? Certificates.ALGORITHM : super.getSignatureName(digest, signature);
            }
        };
        return new SignerInformationVerifier(names, new DefaultSignatureAlgorithmIdentifierFinder(),
            new JcaContentVerifierProviderBuilder().setProvider("BC").build(by),
            new JcaDigestCalculatorProviderBuilder().setProvider("BC").build());
    }
}
