import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.util.encoders.Hex;

/** SD-JWTs with alg SM2SM3 and _sd_alg sm3, and checkpoints with an SM2 line, read as text. */
final class Licenses {
    private static final Base64.Encoder URL = Base64.getUrlEncoder().withoutPadding();
    private static final byte[] TYPE = Main.text("oncegate/sm2-sm3/v1");

    static void register(Map<String, Main.Command> commands) {
        commands.put("sdjwt.verify", a -> {
            String[] parts = a.text().split("~");
            String[] jwt = parts[0].split("\\.");
            String header = decode(jwt[0]), payload = decode(jwt[1]);
            Main.demand(header.contains("\"alg\":\"SM2SM3\""), "another algorithm");
            Matcher leaf = Pattern.compile("\"x5c\":\\[\"([^\"]+)\"").matcher(header);
            Main.demand(leaf.find(), "no certificate");
            byte[] point = Certificates.point(Certificates.certificate(Base64.getDecoder().decode(leaf.group(1))).getPublicKey());
            Main.demand(Raw.verify(point, Raw.USER, Main.text(jwt[0] + "." + jwt[1]), Base64.getUrlDecoder().decode(jwt[2]),
                PlainDSAEncoding.INSTANCE), "the signature does not hold");
            StringBuilder disclosed = new StringBuilder();
            for (String text : Arrays.copyOfRange(parts, 1, parts.length)) {
                Main.demand(payload.contains("\"" + URL.encodeToString(Raw.sm3(Main.text(text))) + "\""), "a disclosure that nobody signed");
                disclosed.append(decode(text)).append('\n');
            }
            return Main.out(Main.text(disclosed));
        });
        commands.put("sdjwt.make", a -> { // key, certificate, always disclosed members, then disclosures
            byte[] d = a.bytes(), certificate = a.bytes();
            String always = a.text();
            StringBuilder digests = new StringBuilder(), after = new StringBuilder("~");
            for (byte[] disclosure : a.rest()) {
                String text = URL.encodeToString(disclosure);
                after.append(text).append('~');
                digests.append(digests.length() == 0 ? "\"" : ",\"").append(URL.encodeToString(Raw.sm3(Main.text(text)))).append('"');
            }
            String input = URL.encodeToString(Main.text("{\"alg\":\"SM2SM3\",\"typ\":\"license+sd-jwt\",\"x5c\":[\""
                + Base64.getEncoder().encodeToString(certificate) + "\"]}")) + "."
                + URL.encodeToString(Main.text("{" + always + ",\"_sd_alg\":\"sm3\",\"_sd\":[" + digests + "]}"));
            String signature = URL.encodeToString(Raw.sign(d, Raw.USER, Main.text(input), PlainDSAEncoding.INSTANCE));
            return Main.out(Main.text(input + "." + signature + after));
        });
        commands.put("note.verify", a -> {
            String note = a.text(), name = a.text();
            byte[] point = a.bytes();
            int end = note.indexOf("\n\n") + 1;
            for (String line : note.substring(end + 1).split("\n")) {
                String[] words = line.split(" ");
                byte[] signature = Base64.getDecoder().decode(words[2]);
                if (!words[1].equals(name) || !Arrays.equals(Arrays.copyOf(signature, 4), id(name, point))) continue;
                return Main.demand(Raw.verify(point, Raw.USER, Main.text(note.substring(0, end)),
                    Arrays.copyOfRange(signature, 4, signature.length), PlainDSAEncoding.INSTANCE), "the signature does not hold");
            }
            throw new Main.Refused("there is no line of this key");
        });
        commands.put("note.make", a -> {
            String text = a.text(), name = a.text();
            byte[] d = a.bytes(), point = a.bytes();
            byte[] rs = Raw.sign(d, Raw.USER, Main.text(text), PlainDSAEncoding.INSTANCE);
            String signature = Base64.getEncoder().encodeToString(Hex.decode(Hex.toHexString(id(name, point)) + Hex.toHexString(rs)));
            return Main.out(Main.text(text + "\n\u2014 " + name + " " + signature + "\n"));
        });
    }

    /** The key id of a C2SP signed note: SHA-256(name, newline, type 0xff and its name, key), four bytes. */
    private static byte[] id(String name, byte[] point) throws Exception {
        java.security.MessageDigest h = java.security.MessageDigest.getInstance("SHA-256");
        h.update(Main.text(name + "\n"));
        h.update((byte) 0xff);
        h.update(TYPE);
        return Arrays.copyOf(h.digest(point), 4);
    }

    private static String decode(String text) {
        return new String(Base64.getUrlDecoder().decode(text), StandardCharsets.UTF_8);
    }
}
