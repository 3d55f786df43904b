import java.io.ByteArrayInputStream;
import java.math.BigInteger;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.ocsp.OCSPObjectIdentifiers;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.jce.interfaces.ECPrivateKey;
import org.bouncycastle.jce.interfaces.ECPublicKey;
import org.bouncycastle.jce.spec.ECParameterSpec;
import org.bouncycastle.jce.spec.ECPrivateKeySpec;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

/** Certificates, chains and requests, with the classes that a Java program has for them. */
final class Certificates {
    static final String ALGORITHM = "SM3WITHSM2";
    private static final ASN1ObjectIdentifier ORGANIZATION_IDENTIFIER = new ASN1ObjectIdentifier("2.5.4.97");

    static void register(Map<String, Main.Command> commands) {
        commands.put("root", a -> {
            KeyPair pair = pair();
            X500Name name = name("ca", "BC root");
            return Main.out(issue(a.time(), "ca", name, pair.getPrivate(), null, name, pair.getPublic()).getEncoded(), scalar(pair));
        });
        commands.put("issue", a -> {
            Date at = a.time();
            String usage = a.text();
            X509Certificate issuer = certificate(a.bytes());
            PrivateKey by = key(a.bytes(), issuer);
            KeyPair pair = pair();
            X500Name name = name(usage, "BC " + usage), above = new JcaX509CertificateHolder(issuer).getSubject();
            return Main.out(issue(at, usage, above, by, issuer, name, pair.getPublic()).getEncoded(), scalar(pair));
        });
        commands.put("chain.verify", a -> {
            path(a.time(), certificate(a.bytes()), certificates(a.rest()));
            return Main.out();
        });
        commands.put("csr.make", a -> {
            KeyPair pair = pair();
            return Main.out(new JcaPKCS10CertificationRequestBuilder(name("license", "BC request"), pair.getPublic())
                .build(signer(pair.getPrivate())).getEncoded(), point(pair.getPublic()));
        });
        commands.put("csr.verify", a -> {
            PKCS10CertificationRequest r = new PKCS10CertificationRequest(a.bytes());
            Main.demand(r.isSignatureValid(new JcaContentVerifierProviderBuilder().setProvider("BC").build(r.getSubjectPublicKeyInfo())),
                "the requester has not signed");
            return Main.out(r.getSubjectPublicKeyInfo().getPublicKeyData().getBytes());
        });
    }

    static X500Name name(String usage, String common) {
        return new X500NameBuilder().addRDN(BCStyle.C, "CN").addRDN(BCStyle.O, "示例市政务服务局")
            .addRDN(ORGANIZATION_IDENTIFIER, "11330000MB0000001X").addRDN(BCStyle.OU, usage).addRDN(BCStyle.CN, common).build();
    }

    private static X509Certificate issue(Date at, String usage, X500Name issuer, PrivateKey by, X509Certificate above,
        X500Name subject, PublicKey key) throws Exception {
        Date from = new Date(at.getTime() - 3600_000), to = new Date(at.getTime() + 86400_000L * 365);
        X509v3CertificateBuilder b = new JcaX509v3CertificateBuilder(issuer, BigInteger.valueOf(System.nanoTime()), from, to, subject, key);
        JcaX509ExtensionUtils ids = new JcaX509ExtensionUtils();
        boolean ca = usage.equals("ca");
        b.addExtension(Extension.keyUsage, true, new KeyUsage(ca ? KeyUsage.keyCertSign | KeyUsage.cRLSign
            : KeyUsage.digitalSignature | KeyUsage.nonRepudiation));
        if (ca) b.addExtension(Extension.basicConstraints, true, above == null ? new BasicConstraints(true) : new BasicConstraints(0));
        b.addExtension(Extension.subjectKeyIdentifier, false, ids.createSubjectKeyIdentifier(key));
        b.addExtension(Extension.authorityKeyIdentifier, false,
            ids.createAuthorityKeyIdentifier(above == null ? key : above.getPublicKey()));
        if (usage.equals("timestamp")) b.addExtension(Extension.extendedKeyUsage, true, new ExtendedKeyUsage(KeyPurposeId.id_kp_timeStamping));
        if (usage.equals("ocsp")) {
            b.addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(KeyPurposeId.id_kp_OCSPSigning));
            b.addExtension(OCSPObjectIdentifiers.id_pkix_ocsp_nocheck, false, DERNull.INSTANCE);
        }
        return certificate(b.build(signer(by)).getEncoded());
    }

    /** Demands that a path, leaf first, leads to the root. */
    static void path(Date at, X509Certificate root, List<X509Certificate> path) throws Exception {
        PKIXParameters p = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        p.setRevocationEnabled(false);
        p.setDate(at);
        CertPathValidator.getInstance("PKIX", "BC").validate(factory().generateCertPath(path), p);
    }

    static ContentSigner signer(PrivateKey key) throws Exception {
        return new JcaContentSignerBuilder(ALGORITHM).setProvider("BC").build(key);
    }

    private static CertificateFactory factory() throws Exception {
        return CertificateFactory.getInstance("X.509", "BC");
    }

    static X509Certificate certificate(byte[] der) throws Exception {
        return (X509Certificate) factory().generateCertificate(new ByteArrayInputStream(der));
    }

    static List<X509Certificate> certificates(List<byte[]> ders) throws Exception {
        List<X509Certificate> all = new ArrayList<>();
        for (byte[] der : ders) all.add(certificate(der));
        return all;
    }

    static KeyPair pair() throws Exception {
        KeyPairGenerator g = KeyPairGenerator.getInstance("EC", "BC");
        g.initialize(new ECGenParameterSpec("sm2p256v1"));
        return g.generateKeyPair();
    }

    /** The private key of 32 bytes that belongs to a certificate. */
    static PrivateKey key(byte[] d, X509Certificate c) throws Exception {
        ECParameterSpec curve = ((ECPublicKey) c.getPublicKey()).getParameters();
        return KeyFactory.getInstance("EC", "BC").generatePrivate(new ECPrivateKeySpec(new BigInteger(1, d), curve));
    }

    static byte[] scalar(KeyPair pair) {
        return scalar(pair.getPrivate());
    }

    static byte[] scalar(PrivateKey key) {
        return org.bouncycastle.util.BigIntegers.asUnsignedByteArray(32, ((ECPrivateKey) key).getD());
    }

    static byte[] point(PublicKey key) {
        return SubjectPublicKeyInfo.getInstance(key.getEncoded()).getPublicKeyData().getBytes();
    }
}
