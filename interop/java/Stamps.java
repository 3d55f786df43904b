import java.math.BigInteger;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.gm.GMObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampRequestGenerator;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampResponseGenerator;
import org.bouncycastle.tsp.TimeStampToken;
import org.bouncycastle.tsp.TimeStampTokenGenerator;

/** Time stamps, RFC 3161, with SM3 imprints and SM2 signatures. */
final class Stamps {
    private static final ASN1ObjectIdentifier SM3 = GMObjectIdentifiers.sm3, POLICY = new ASN1ObjectIdentifier("1.2.3.4");

    static void register(Map<String, Main.Command> commands) {
        commands.put("tsp.ask", a -> {
            TimeStampRequestGenerator g = new TimeStampRequestGenerator();
            g.setCertReq(true);
            return Main.out(g.generate(SM3, Raw.sm3(a.bytes()), BigInteger.valueOf(4711)).getEncoded());
        });
        commands.put("tsp.verify", a -> {
            TimeStampResponse response = new TimeStampResponse(a.bytes());
            response.validate(new TimeStampRequest(a.bytes())); // status, imprint, nonce, policy
            TimeStampToken token = response.getTimeStampToken();
            Main.demand(token != null, "there is no token");
            X509Certificate root = Certificates.certificate(a.bytes());
            X509CertificateHolder by = (X509CertificateHolder) token.getCertificates().getMatches(token.getSID()).iterator().next();
            token.validate(Messages.verifier(by)); // certificate, its usage and identifier, signature
            Date time = token.getTimeStampInfo().getGenTime();
            Certificates.path(time, root, Messages.chain(by, token.toCMSSignedData()));
            return Main.out(Main.text(time.getTime() / 1000));
        });
        commands.put("tsp.answer", a -> {
            TimeStampRequest request = new TimeStampRequest(a.bytes());
            Date at = a.time();
            byte[] by = a.bytes();
            List<X509Certificate> chain = Certificates.certificates(a.rest());
            DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
            TimeStampTokenGenerator g = new TimeStampTokenGenerator(
                new JcaSignerInfoGeneratorBuilder(digests).build(Certificates.signer(Certificates.key(by, chain.get(0))), chain.get(0)),
                digests.get(new AlgorithmIdentifier(SM3)), POLICY);
            g.addCertificates(new JcaCertStore(chain));
            TimeStampResponse r = new TimeStampResponseGenerator(g, Set.of(SM3.getId())).generate(request, BigInteger.valueOf(77), at);
            return Main.out(org.bouncycastle.asn1.ASN1Primitive.fromByteArray(r.getEncoded()).getEncoded("DER"));
        });
    }
}
