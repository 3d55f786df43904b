import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.Map;

import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveInputStream;
import org.apache.commons.compress.archivers.zip.ZipFile;

/** The readers of Apache Commons Compress. */
final class Commons {
    static Map<String, Readers.Reader> readers() {
        Map<String, Readers.Reader> readers = new LinkedHashMap<>();
        readers.put("commons-compress.ZipFile", (file, seen) -> {
            try (ZipFile zip = new ZipFile(file)) {
                for (Enumeration<ZipArchiveEntry> all = zip.getEntries(); all.hasMoreElements();) {
                    ZipArchiveEntry e = all.nextElement();
                    try (InputStream in = zip.getInputStream(e)) {
                        seen.add(e.getName(), in);
                    }
                }
            }
        });
        readers.put("commons-compress.ZipArchiveInputStream", (file, seen) -> {
            InputStream in = new BufferedInputStream(new ByteArrayInputStream(Files.readAllBytes(file.toPath())));
            try (ZipArchiveInputStream zip = new ZipArchiveInputStream(in)) {
                for (ZipArchiveEntry e; (e = (ZipArchiveEntry) zip.getNextEntry()) != null;) seen.add(e.getName(), zip);
            }
        });
        return readers;
    }
}
