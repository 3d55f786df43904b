import java.io.ByteArrayOutputStream;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.List;
import java.util.Map;

import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.pkcs.PKCS12PfxPduBuilder;
import org.bouncycastle.pkcs.PKCS12SafeBag;
import org.bouncycastle.pkcs.PKCS12SafeBagBuilder;
import org.bouncycastle.pkcs.jcajce.JcaPKCS12SafeBagBuilder;
import org.bouncycastle.pkcs.jcajce.JcePKCS12MacCalculatorBuilder;
import org.bouncycastle.pkcs.jcajce.JcePKCSPBEOutputEncryptorBuilder;

/** Keys in files: PKCS#8 and PKCS#12. */
final class Containers {
    static void register(Map<String, Main.Command> commands) {
        commands.put("pkcs8.make", a -> {
            byte[] d = a.bytes();
            return Main.out(Certificates.key(d, Certificates.certificate(a.bytes())).getEncoded());
        });
        commands.put("pkcs8.read", a -> Main.out(Certificates.scalar(
            KeyFactory.getInstance("EC", "BC").generatePrivate(new PKCS8EncodedKeySpec(a.bytes())))));
        commands.put("pkcs12.make", a -> {
            String kind = a.text();
            char[] password = a.text().toCharArray();
            byte[] d = a.bytes();
            List<X509Certificate> chain = Certificates.certificates(a.rest());
            if (kind.isEmpty()) return Main.out(pbes2(Certificates.key(d, chain.get(0)), chain, password));
            KeyStore store = KeyStore.getInstance(kind, "BC");
            store.load(null, null);
            store.setKeyEntry("key", Certificates.key(d, chain.get(0)), null, chain.toArray(new Certificate[0]));
            ByteArrayOutputStream file = new ByteArrayOutputStream();
            store.store(new org.bouncycastle.jcajce.PKCS12StoreParameter(file, password, true)); // in DER
            return Main.out(file.toByteArray());
        });
    }

    /** A file as it is made today: PBES2 with AES throughout, and a MAC with SHA-256. */
    private static byte[] pbes2(PrivateKey key, List<X509Certificate> chain, char[] password) throws Exception {
        OutputEncryptor aes = new JcePKCSPBEOutputEncryptorBuilder(NISTObjectIdentifiers.id_aes256_CBC).setProvider("BC").build(password);
        DEROctetString id = new DEROctetString(new byte[] {1});
        PKCS12SafeBag[] bags = new PKCS12SafeBag[chain.size()];
        for (int i = 0; i < bags.length; i++) {
            PKCS12SafeBagBuilder b = new JcaPKCS12SafeBagBuilder(chain.get(i));
            bags[i] = (i == 0 ? b.addBagAttribute(PKCS12SafeBag.localKeyIdAttribute, id) : b).build();
        }
        return new PKCS12PfxPduBuilder()
            .addEncryptedData(aes, bags)
            .addData(new JcaPKCS12SafeBagBuilder(key, aes).addBagAttribute(PKCS12SafeBag.localKeyIdAttribute, id).build())
            .build(new JcePKCS12MacCalculatorBuilder(NISTObjectIdentifiers.id_sha256).setProvider("BC"), password)
            .getEncoded("DER");
    }
}
