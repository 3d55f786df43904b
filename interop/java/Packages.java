import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.util.Arrays;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

import javax.xml.parsers.DocumentBuilderFactory;

import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** OFD packages, GB/T 33190: the files that a seal covers, and the seal over them. */
final class Packages {
    private static final String OFD = "http://www.ofdspec.org/2016";

    static void register(Map<String, Main.Command> commands) {
        commands.put("ofd.verify", a -> {
            Map<String, byte[]> files = unpack(a.bytes());
            String list = at("/", text(xml(files.get("OFD.xml")).getDocumentElement(), "Signatures"));
            NodeList signatures = xml(files.get(list.substring(1))).getElementsByTagNameNS(OFD, "Signature");
            Main.demand(signatures.getLength() > 0, "no signature");
            int covered = 0;
            for (int i = 0; i < signatures.getLength(); i++) {
                String path = at(list, ((Element) signatures.item(i)).getAttribute("BaseLoc"));
                byte[] signature = files.get(path.substring(1));
                Element root = xml(signature).getDocumentElement();
                Element references = (Element) root.getElementsByTagNameNS(OFD, "References").item(0);
                Main.demand(references.getAttribute("CheckMethod").equals("1.2.156.10197.1.401"), "another digest");
                NodeList all = references.getElementsByTagNameNS(OFD, "Reference");
                for (int j = 0; j < all.getLength(); j++, covered++) {
                    Element one = (Element) all.item(j);
                    String file = at(path, one.getAttribute("FileRef"));
                    byte[] want = Base64.getDecoder().decode(text(one, "CheckValue").trim());
                    Main.demand(files.containsKey(file.substring(1)), file + " is not there");
                    Main.demand(Arrays.equals(Raw.sm3(files.get(file.substring(1))), want), file + " was changed");
                }
                Seals.sealed(files.get(at(path, text(root, "SignedValue")).substring(1)), signature, path);
            }
            return Main.out(Main.text(covered));
        });
        commands.put("ofd.seal", a -> { // an unsigned package, with the whole of it covered
            Map<String, byte[]> files = unpack(a.bytes());
            Date at = a.time();
            byte[] by = a.bytes(), certificate = a.bytes(), seal = a.bytes();
            String page = a.text(), list = "/Doc_0/Signs/Signatures.xml", path = "/Doc_0/Signs/Sign_0/Signature.xml";
            String outline = new String(files.get("OFD.xml"), "UTF-8");
            files.put("OFD.xml", Main.text(outline.replace("</ofd:DocBody>", "<ofd:Signatures>" + list.substring(1) + "</ofd:Signatures></ofd:DocBody>")));
            files.put("Doc_0/Signs/Sign_0/Seal.esl", seal);
            StringBuilder x = new StringBuilder("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ofd:Signature xmlns:ofd=\"" + OFD + "\"><ofd:SignedInfo>"
                + "<ofd:Provider ProviderName=\"Bouncy Castle\" Version=\"1\"/><ofd:SignatureMethod>1.2.156.10197.1.501</ofd:SignatureMethod>"
                + "<ofd:SignatureDateTime>20261123120000Z</ofd:SignatureDateTime><ofd:References CheckMethod=\"1.2.156.10197.1.401\">");
            for (Map.Entry<String, byte[]> f : files.entrySet()) {
                x.append("<ofd:Reference FileRef=\"/").append(f.getKey()).append("\"><ofd:CheckValue>")
                    .append(Base64.getEncoder().encodeToString(Raw.sm3(f.getValue()))).append("</ofd:CheckValue></ofd:Reference>");
            }
            x.append("</ofd:References><ofd:StampAnnot ID=\"1\" PageRef=\"").append(page).append("\" Boundary=\"20 20 40 40\"/>"
                + "<ofd:Seal><ofd:BaseLoc>/Doc_0/Signs/Sign_0/Seal.esl</ofd:BaseLoc></ofd:Seal></ofd:SignedInfo>"
                + "<ofd:SignedValue>/Doc_0/Signs/Sign_0/SignedValue.dat</ofd:SignedValue></ofd:Signature>");
            byte[] signature = Main.text(x);
            files.put(path.substring(1), signature);
            files.put(list.substring(1), Main.text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ofd:Signatures xmlns:ofd=\"" + OFD
                + "\"><ofd:MaxSignId>1</ofd:MaxSignId><ofd:Signature ID=\"1\" Type=\"Seal\" BaseLoc=\"" + path + "\"/></ofd:Signatures>"));
            files.put("Doc_0/Signs/Sign_0/SignedValue.dat", Seals.seal(at, by, certificate, seal, signature, path));
            return Main.out(pack(files));
        });
    }

    private static Map<String, byte[]> unpack(byte[] file) throws Exception {
        Map<String, byte[]> files = new LinkedHashMap<>();
        try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(file))) {
            for (ZipEntry e; (e = zip.getNextEntry()) != null;) {
                if (!e.isDirectory()) files.put(e.getName(), zip.readAllBytes());
            }
        }
        return files;
    }

    private static byte[] pack(Map<String, byte[]> files) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(out)) {
            for (Map.Entry<String, byte[]> f : files.entrySet()) {
                zip.putNextEntry(new ZipEntry(f.getKey()));
                zip.write(f.getValue());
            }
        }
        return out.toByteArray();
    }

    /** Where a reference leads from a file of the package. */
    private static String at(String from, String reference) {
        return URI.create(from).resolve(reference.trim()).getPath();
    }

    private static String text(Element in, String name) {
        return in.getElementsByTagNameNS(OFD, name).item(0).getTextContent();
    }

    private static Document xml(byte[] text) throws Exception {
        DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();
        f.setNamespaceAware(true);
        f.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return f.newDocumentBuilder().parse(new ByteArrayInputStream(text));
    }
}
