package docs_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A block is one fenced block of shell commands.
type block struct{ name, commands string }

// blocks returns the fenced sh blocks of a document: those named "tools" joined to one text, and the others in order.
func blocks(t *testing.T, document string) (tools string, checks []block) {
	t.Helper()
	for _, part := range strings.Split(read(t, document), "\n```sh\n")[1:] {
		commands, _, ok := strings.Cut(part, "\n```")
		if !ok {
			t.Fatalf("%s has a block without an end", document)
		}
		name, ok := strings.CutPrefix(strings.SplitN(commands, "\n", 2)[0], "# ")
		switch {
		case !ok:
			t.Fatalf("%s has a block without a name: %s", document, commands)
		case name == "tools":
			tools += commands + "\n"
		default:
			checks = append(checks, block{name, commands})
		}
	}
	return tools, checks
}

// spoils are, for each block of verify.md, changes that it must notice.
var spoils = map[string][]func(*testing.T, string){
	"checkpoint: SM2":      {change("artefacts/checkpoint", "\nsm3-root ", "\nsm3-rooT "), otherKey("trust/log.sm2.pub.pem")},
	"checkpoint: Ed25519":  {change("artefacts/checkpoint", "\nsm3-root ", "\nsm3-rooT ")},
	"license: chain":       {otherRoot},
	"license: issuer":      {otherBody},
	"license: signature":   {flip("artefacts/license.sdjwt", ".", 20)},
	"license: disclosures": {flip("artefacts/license.sdjwt", "~", 4), addDisclosure},
	"request: token":       {flip("artefacts/request.jwt", ".", 200), otherCaller},
	"request: body":        {flip("artefacts/request.body", "", 0)},
	"answer: digests":      {flip("artefacts/answer.json", `"nonce":"`, 2), flip("artefacts/request.jwt", ".", 200)},
	"answer: receipt":      {flip("artefacts/answer.json", `"receipt":{"record":"`, 8), flip("artefacts/answer.json", `"sm3":["`, 3), flip("artefacts/answer.json", `"sha256":["`, 3), change("artefacts/answer.json", `"index":`, `"index":1`), otherKey("trust/log.sm2.pub.pem")},
	"answer: license":      {flip("artefacts/license.sdjwt", "~", 4)},
	"report: receipt":      {flip("artefacts/report.json", `"nonce":"`, 2), flip("artefacts/report.json", `"sm3":["`, 3), flip("artefacts/report.json", `"sha256":["`, 3)},
}

// TestVerifyDocument runs the commands of verify.md as they stand there: they hold for the artefacts of a run, and each fails
// when what it checks was changed.
func TestVerifyDocument(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether docs/verify.md holds")
	}
	if _, err := exec.LookPath("unzip"); err != nil {
		t.Skip("unzip is not installed: NOT TESTED whether docs/verify.md holds")
	}
	tools, checks := blocks(t, "verify.md")
	papers := subject(checks, "document", true)
	walk(t, theDemo(t), tools, subject(checks, "document", false), spoils)
	walk(t, theDemo(t), tools, papers, paperSpoils)
}

// subject are the blocks of a subject, or all others.
func subject(checks []block, name string, of bool) (list []block) {
	for _, c := range checks {
		if strings.HasPrefix(c.name, name+":") == of {
			list = append(list, c)
		}
	}
	return list
}

// walk runs blocks in a folder, and each again on every change that it must notice.
func walk(t *testing.T, dir, tools string, checks []block, spoils map[string][]func(*testing.T, string)) {
	t.Helper()
	if out, err := shell(dir, tools+all(checks)); err != nil {
		t.Fatalf("all blocks one after the other: %v\n%s", err, out)
	}
	for i, c := range checks {
		if len(spoils[c.name]) == 0 {
			t.Errorf("nothing shows that %q can fail", c.name)
		}
		for n, spoil := range spoils[c.name] {
			copied := copyOf(t, dir)
			spoil(t, copied)
			// What a block builds on runs before it and may notice too.
			out, err := shell(copied, tools+quietly(before(checks[:i], c))+"echo ---\n"+c.commands)
			if err == nil {
				t.Errorf("%s, change %d: not noticed\n%s", c.name, n, out)
			}
			_, own, _ := strings.Cut(out, "---\n")
			t.Logf("%s, change %d: %q", c.name, n, own)
		}
	}
	for name := range spoils {
		if !strings.Contains(all(checks), "# "+name+"\n") {
			t.Errorf("verify.md has no block %q", name)
		}
	}
}

// TestVerifyCommand runs the one command of verify.md, which holds too, and notices each changed artefact.
func TestVerifyCommand(t *testing.T) {
	var command string
	for _, c := range prompted(t, "verify.md") {
		if strings.HasPrefix(c, "oncegate verify") {
			command = c
		}
	}
	dir := theDemo(t)
	if out, err := program(t, filepath.Join(dir, "artefacts"), command); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	all := maps.Clone(spoils)
	maps.Copy(all, paperSpoils)
	for name, list := range all {
		copied := copyOf(t, dir)
		list[0](t, copied)
		if out, err := program(t, filepath.Join(copied, "artefacts"), command); err == nil {
			t.Errorf("%s: not noticed\n%s", name, out)
		}
	}
}

func all(checks []block) (text string) {
	for _, c := range checks {
		text += c.commands + "\n"
	}
	return text
}

// before are the blocks of the same subject, on whose variables and files a block builds.
func before(checks []block, c block) (list []block) {
	subject, _, _ := strings.Cut(c.name, ":")
	for _, b := range checks {
		if strings.HasPrefix(b.name, subject+":") {
			list = append(list, b)
		}
	}
	return list
}

// quietly runs blocks whose verdict is not asked for.
func quietly(checks []block) string { return "set +e\n" + all(checks) + "set -e\n" }

func shell(dir, commands string) (string, error) {
	cmd := exec.Command("sh", "-eu", "-c", commands+"\n")
	cmd.Dir = filepath.Join(dir, "artefacts")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// copyOf copies what a verifier has.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	copied := t.TempDir()
	for _, folder := range []string{"artefacts", "trust"} {
		must(t, os.CopyFS(filepath.Join(copied, folder), os.DirFS(filepath.Join(dir, folder))))
	}
	return copied
}

func rewrite(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	now := edit(bytes.Clone(was))
	if bytes.Equal(was, now) {
		t.Fatalf("%s was not changed", path)
	}
	if err := os.WriteFile(path, now, 0o600); err != nil {
		t.Fatal(err)
	}
}

// change replaces one text by another, once.
func change(name, old, now string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, filepath.Join(dir, name), func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(now), 1) })
	}
}

// flip replaces the n-th byte after a mark by another letter or digit.
func flip(name, after string, n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, filepath.Join(dir, name), func(b []byte) []byte {
			i := bytes.Index(b, []byte(after)) + len(after) + n
			if b[i] == 'A' {
				b[i] = 'B'
			} else {
				b[i] = 'A'
			}
			return b
		})
	}
}

// otherKey puts another key in a file's place.
func otherKey(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, filepath.Join(dir, name), func([]byte) []byte {
			text, err := sm.MarshalPEM(certstest.New(t, "another").Signer("log-1").Public())
			must(t, err)
			return text
		})
	}
}

func otherRoot(t *testing.T, dir string) {
	rewrite(t, filepath.Join(dir, "trust", "ca.cert.pem"), func([]byte) []byte {
		return pki.MarshalPEM(certstest.New(t, "another").Root.Certificate())
	})
}

// otherCaller puts another key where the caller's stands.
func otherCaller(t *testing.T, dir string) {
	names, _ := filepath.Glob(filepath.Join(dir, "trust", "callers", "*.pem"))
	for _, name := range names {
		rel, _ := filepath.Rel(dir, name)
		otherKey(filepath.ToSlash(rel))(t, dir)
	}
}

// otherBody makes the license one of another body than its issuer.
func otherBody(t *testing.T, dir string) {
	rewrite(t, filepath.Join(dir, "artefacts", "license.sdjwt"), func(b []byte) []byte {
		parts := strings.SplitN(string(b), ".", 3)
		payload := strings.ReplaceAll(decode(t, parts[1]), ".11379901", ".11999901")
		return []byte(parts[0] + "." + encode(payload) + "." + parts[2])
	})
}

// addDisclosure adds a field that nobody signed.
func addDisclosure(t *testing.T, dir string) {
	rewrite(t, filepath.Join(dir, "artefacts", "license.sdjwt"), func(b []byte) []byte {
		return []byte(strings.TrimSpace(string(b)) + encode(`["salt","owner","me"]`) + "~")
	})
}
