// Package tlog is a transparency log: bytes in, receipt out.
//
// A log keeps two Merkle trees of RFC 6962 shape over the same leaves, one hashed with SM3, one with
// SHA-256, so that both Chinese auditors and the world's log tools can check it. Entries waiting at
// one moment are committed together, in one transaction of a [Storage], under one checkpoint that
// carries both roots and is signed with SM2 and Ed25519 (C2SP tlog-checkpoint). Each entry's
// [Receipt] holds its inclusion proofs and that checkpoint, and verifies offline.
//
// The rules that keep it one history (design 5.7): every batch is integrated from the head that the
// storage has locked; a signature leaves the process only after a known commit; a high-water mark
// outside the database refuses a database that has lost what was answered.
//
// The package knows nothing of what a leaf means and holds no cryptography beyond the standard
// library: SM3, signers and verifiers are handed in.
package tlog
