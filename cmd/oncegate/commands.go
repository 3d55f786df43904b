package main

import "strings"

// commands is the command line. Help texts stand here in English; texts.go has their Chinese.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the gateway."`
	Check   checkCommand   `cmd:"" help:"Check a configuration and everything it names; report all faults at once."`
	Init    initCommand    `cmd:"" help:"Make a new installation: configuration, keys, certificates, log."`
	Demo    demoCommand    `cmd:"" help:"Start a small city, tell its story, and serve until Ctrl-C."`
	Verify  verifyCommand  `cmd:"" help:"Verify what a gateway or somebody else handed out, offline: licenses, sealed documents, answers, receipts, time stamps, lists, and more."`
	Call    callCommand    `cmd:"" help:"Make a signed call by hand."`
	Keys    keysCommand    `cmd:"" help:"Look after the gateway's keys and certificates."`
	Policy  policyCommand  `cmd:"" help:"Explain and test the policy."`
	Audit   auditCommand   `cmd:"" help:"Search, verify and export the records."`
	License licenseCommand `cmd:"" help:"Suspend, revoke, supersede, list and sign licenses, for the department that owns them."`
	Backup  backupCommand  `cmd:"" help:"Copy the SQLite database to a file, while a node serves it or not."`
	Recover recoverCommand `cmd:"" help:"Open a new log origin after an old backup was restored."`
	Hammer  hammerCommand  `cmd:"" help:"Put bounded load on a gateway of its own, on loopback only, and prove that nothing answered was lost."`
}

// examples are the lines that a command's help ends with. What is indented stays as it is written.
func examples(lines ...string) string {
	return "Examples:\n\n    " + strings.Join(lines, "\n    ") + "\n"
}
