import java.math.BigInteger;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.Map;

import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.ocsp.OCSPObjectIdentifiers;
import org.bouncycastle.asn1.x509.CRLNumber;
import org.bouncycastle.asn1.x509.CRLReason;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.Extensions;
import org.bouncycastle.cert.X509CRLEntryHolder;
import org.bouncycastle.cert.X509CRLHolder;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.X509v2CRLBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.ocsp.BasicOCSPResp;
import org.bouncycastle.cert.ocsp.BasicOCSPRespBuilder;
import org.bouncycastle.cert.ocsp.CertificateID;
import org.bouncycastle.cert.ocsp.CertificateStatus;
import org.bouncycastle.cert.ocsp.OCSPReq;
import org.bouncycastle.cert.ocsp.OCSPReqBuilder;
import org.bouncycastle.cert.ocsp.OCSPResp;
import org.bouncycastle.cert.ocsp.OCSPRespBuilder;
import org.bouncycastle.cert.ocsp.Req;
import org.bouncycastle.cert.ocsp.RespID;
import org.bouncycastle.cert.ocsp.RevokedStatus;
import org.bouncycastle.cert.ocsp.SingleResp;
import org.bouncycastle.operator.ContentVerifierProvider;
import org.bouncycastle.operator.DigestCalculator;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** Revocation lists, and questions and answers about certificates. */
final class Revocation {
    static void register(Map<String, Main.Command> commands) {
        commands.put("crl.make", a -> {
            Date at = a.time();
            X509Certificate issuer = Certificates.certificate(a.bytes());
            X509v2CRLBuilder b = new X509v2CRLBuilder(new JcaX509CertificateHolder(issuer).getSubject(), at);
            byte[] by = a.bytes();
            b.addCRLEntry(new BigInteger(a.text()), at, CRLReason.keyCompromise).setNextUpdate(new Date(at.getTime() + 86400_000));
            b.addExtension(Extension.authorityKeyIdentifier, false, new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(issuer.getPublicKey()));
            b.addExtension(Extension.cRLNumber, false, new CRLNumber(BigInteger.TEN));
            return Main.out(b.build(Certificates.signer(Certificates.key(by, issuer))).getEncoded());
        });
        commands.put("crl.verify", a -> {
            X509CRLHolder list = new X509CRLHolder(a.bytes());
            X509Certificate issuer = Certificates.certificate(a.bytes());
            Main.demand(list.getIssuer().equals(new JcaX509CertificateHolder(issuer).getSubject()), "another authority's");
            Main.demand(list.isSignatureValid(verifier(issuer)), "the signature does not hold");
            X509CRLEntryHolder e = list.getRevokedCertificate(new BigInteger(a.text()));
            return Main.out(Main.text(e == null ? "good"
                : "revoked " + CRLReason.getInstance(e.getExtension(Extension.reasonCode).getParsedValue()).getValue()));
        });
        commands.put("ocsp.ask", a -> {
            X509CertificateHolder issuer = new X509CertificateHolder(a.bytes());
            OCSPReqBuilder b = new OCSPReqBuilder().addRequest(new CertificateID(sha1(), issuer, new BigInteger(a.text())));
            Extension nonce = new Extension(OCSPObjectIdentifiers.id_pkix_ocsp_nonce, false, new DEROctetString(a.bytes()).getEncoded());
            return Main.out(b.setRequestExtensions(new Extensions(nonce)).build().getEncoded());
        });
        commands.put("ocsp.read", a -> {
            OCSPResp response = new OCSPResp(a.bytes());
            X509Certificate issuer = Certificates.certificate(a.bytes());
            OCSPReq request = new OCSPReq(a.bytes());
            Main.demand(response.getStatus() == OCSPResp.SUCCESSFUL, "status " + response.getStatus());
            BasicOCSPResp basic = (BasicOCSPResp) response.getResponseObject();
            X509CertificateHolder[] certs = basic.getCerts();
            Main.demand(certs.length == 1 && certs[0].isSignatureValid(verifier(issuer)), "the responder was not appointed");
            Main.demand(basic.isSignatureValid(new JcaContentVerifierProviderBuilder().setProvider("BC").build(certs[0])), "the signature does not hold");
            Main.demand(basic.getExtension(OCSPObjectIdentifiers.id_pkix_ocsp_nonce)
                .equals(request.getExtension(OCSPObjectIdentifiers.id_pkix_ocsp_nonce)), "another nonce");
            SingleResp one = basic.getResponses()[0];
            Main.demand(one.getCertID().equals(request.getRequestList()[0].getCertID()), "about another certificate");
            CertificateStatus status = one.getCertStatus();
            return Main.out(Main.text(status == CertificateStatus.GOOD ? "good" : status instanceof RevokedStatus r ? "revoked " + r.getRevocationReason() : "unknown"));
        });
        commands.put("ocsp.answer", a -> {
            Date at = a.time();
            OCSPReq request = new OCSPReq(a.bytes());
            X509Certificate responder = Certificates.certificate(a.bytes());
            byte[] by = a.bytes();
            X509CertificateHolder issuer = new X509CertificateHolder(a.bytes());
            JcaX509CertificateHolder holder = new JcaX509CertificateHolder(responder);
            BasicOCSPRespBuilder b = new BasicOCSPRespBuilder(new RespID(holder.getSubject()));
            for (Req r : request.getRequestList()) {
                Main.demand(r.getCertID().matchesIssuer(issuer, new JcaDigestCalculatorProviderBuilder().setProvider("BC").build()), "another authority's certificate");
                b.addResponse(r.getCertID(), new RevokedStatus(at, CRLReason.keyCompromise), at, new Date(at.getTime() + 3600_000), null);
            }
            Extension nonce = request.getExtension(OCSPObjectIdentifiers.id_pkix_ocsp_nonce);
            if (nonce != null) b.setResponseExtensions(new Extensions(nonce));
            BasicOCSPResp basic = b.build(Certificates.signer(Certificates.key(by, responder)), new X509CertificateHolder[] {holder}, at);
            return Main.out(new OCSPRespBuilder().build(OCSPRespBuilder.SUCCESSFUL, basic).getEncoded());
        });
    }

    private static ContentVerifierProvider verifier(X509Certificate by) throws Exception {
        return new JcaContentVerifierProviderBuilder().setProvider("BC").build(by);
    }

    private static DigestCalculator sha1() throws Exception {
        return new JcaDigestCalculatorProviderBuilder().setProvider("BC").build().get(CertificateID.HASH_SHA1);
    }
}
