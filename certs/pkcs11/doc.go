// Package pkcs11 signs with keys that never leave a device (密码机, 智能密码钥匙), through the interface PKCS#11 (OASIS, 2.40).
//
// A [Module] is the vendor's library, loaded once. A [Token] is one partition or card in it, logged in with a PIN, with a
// bounded number of sessions. A [Key] is a crypto.Signer: ECDSA on P-256 and RSA by the standard's mechanisms. An [SM2Key]
// is an [sm.Signer]: the standard has no SM2, so numbers and forms are data of the vendor ([SM2Profile]).
//
//	module, err := pkcs11.Load("/usr/lib/vendor/libp11.so")
//	token, err := module.Open(ctx, pkcs11.Config{Label: "oncegate", PINFile: "pin"})
//	signer, err := token.SM2(ctx, "license-2026", pkcs11.Object{Label: "license"}, profile)
//
// Every signature is verified before it is handed out, so that a wrong profile, another key under the same name or a fault
// in the device costs a call and not a false signature. Every wait is bounded; a device that hangs holds a session and one
// thread, never a caller. A token that was taken out and put back is logged into again by the next call. No error quotes a
// PIN, and a PIN that was refused is not tried a second time, because tokens lock themselves.
//
// The library is called without cgo (ebitengine/purego), so the whole module still builds with CGO_ENABLED=0. A program that
// imports this package is linked dynamically, which is why the oncegate binary does not: see docs/keys.md.
package pkcs11
