// Package client is what a Go system imports to use a gateway: signed calls as typed methods, and the verification of
// everything that a gateway hands out, from trust that the verifier brings.
//
//	trust, err := client.LoadTrust("trust/trust.json")
//	c, err := client.New(client.Config{BaseURL: "https://gateway.example", Gateway: "example-city", System: "food-permits",
//		Signer: signer, Operator: "window-3", Trust: trust})
//	checked, err := c.Check(ctx, "SP-2026-000123", api.CheckRequest{})
//
// A verification has one of three verdicts on authenticity: proven, refuted or not proven. [Needs] lists what each kind of artefact
// needs to be proven; [Verified.Err] is nil for nothing less. What is known beside authenticity — witnesses, standing, presenter —
// stands in [Verified.Beside], and [Requirement] makes it part of what is needed.
//
// Errors are *api.Problem where the gateway answered one (errors.As). With Trust set, an answer is handed out only after its
// receipt has been verified; [ErrUnproven] otherwise. [Trust.Verify] does the same, and more, offline for files.
package client
